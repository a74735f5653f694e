package pubsub

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The names of the attributes that have no counterpart in CloudEvents. Subscriptions
// filter by them, so they are part of the contract with controllers.
const (
	attrEventType   = "event_type"
	attrClusterID   = "cluster_id"
	attrNodePoolID  = "nodepool_id"
	attrGeneration  = "generation"
	attrPlatform    = "platform"
	attrReason      = "reason"
	attrSource      = "source"
	attrTimestamp   = "timestamp"
	attrCreatedBy   = "created_by"
	attrTraceparent = "traceparent"
)

// Encode returns the message of an event: its JSON as the data, what subscriptions
// filter by as attributes, and the attributes of CloudEvents 1.0 in the binary mode of
// its Pub/Sub binding (googleapis/google-cloudevents, docs/spec/pubsub.md), where
// content-type is the datacontenttype. The same event gives the same message, so a
// duplicate is one to the byte but for its traceparent.
func Encode(q models.QueuedEvent) (*pb.PubsubMessage, error) {
	e := q.Event
	e.Timestamp = e.Timestamp.UTC()
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	at := e.Timestamp.Format(time.RFC3339Nano) // as encoding/json writes it
	attrs := map[string]string{
		attrEventType:  e.Type,
		attrClusterID:  e.ClusterID,
		attrGeneration: strconv.FormatInt(e.Generation, 10),
		attrPlatform:   q.Platform,
		attrReason:     e.Reason,
		attrSource:     e.Source,
		attrTimestamp:  at,
		attrCreatedBy:  q.CreatedBy,
	}
	maps.Copy(attrs, cloudEvent(e, at))
	if e.NodePoolID != "" {
		attrs[attrNodePoolID] = e.NodePoolID
	}
	if q.Traceparent != "" {
		attrs[attrTraceparent] = q.Traceparent
	}
	return &pb.PubsubMessage{Data: data, Attributes: attrs, OrderingKey: q.OrderingKey()}, nil
}

func cloudEvent(e v1.Event, at string) map[string]string {
	subject := e.ClusterID
	if e.NodePoolID != "" {
		subject = e.NodePoolID
	}
	return map[string]string{
		"ce-specversion": "1.0",
		"ce-id":          e.ID,
		"ce-source":      e.Source,
		"ce-type":        e.Type,
		"ce-subject":     subject,
		"ce-time":        at,
		"content-type":   "application/json",
	}
}

// Received is an event as a subscriber gets it.
type Received struct {
	Event v1.Event
	// Platform is in lower case, "" when the spec names none.
	Platform  string
	CreatedBy string
	// Traceparent is the W3C trace context of the call that caused the event; "" when
	// none did.
	Traceparent string
}

// Decode reads a message that [Encode] made. Fields and attributes that it does not
// know pass, so that a newer service can add some. It fails on data that is no event.
func Decode(data []byte, attributes map[string]string) (Received, error) {
	r := Received{
		Platform:    attributes[attrPlatform],
		CreatedBy:   attributes[attrCreatedBy],
		Traceparent: attributes[attrTraceparent],
	}
	if err := json.Unmarshal(data, &r.Event); err != nil {
		return Received{}, fmt.Errorf("decode event: %w", err)
	}
	if r.Event.ID == "" || r.Event.Type == "" || r.Event.ClusterID == "" {
		return Received{}, fmt.Errorf("decode event: id %q, type %q and cluster_id %q must all be there",
			r.Event.ID, r.Event.Type, r.Event.ClusterID)
	}
	return r, nil
}
