package pubsub_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// The message is a contract with controllers that exist: this test changes only when
// something is added.
func TestMessageIsTheContract(t *testing.T) {
	t.Parallel()
	const (
		cluster = "0192b5a0-0000-7000-8000-000000000001"
		pool    = "0192b5a0-0000-7000-8000-000000000002"
		id      = "0192b5a0-0000-7000-8000-000000000003"
		parent  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	)
	q := event(cluster)
	q.Event.ID, q.Traceparent, q.RequestID = id, parent, "not in the message"
	t.Run("of a cluster", func(t *testing.T) {
		t.Parallel()
		compare(t, q, `{"id":"`+id+`","type":"cluster.updated","cluster_id":"`+cluster+`","generation":3,`+
			`"timestamp":"2026-01-02T03:04:05.06Z","source":"cls-backend","reason":"spec_changed",`+
			`"metadata":{"triggered_by":"user","user_email":"a@example.com"}}`, map[string]string{
			"event_type": "cluster.updated", "cluster_id": cluster, "generation": "3", "platform": "gcp", "reason": "spec_changed",
			"source": "cls-backend", "timestamp": "2026-01-02T03:04:05.06Z", "created_by": "a@example.com", "traceparent": parent,
			"ce-specversion": "1.0", "ce-id": id, "ce-source": "cls-backend", "ce-type": "cluster.updated", "ce-subject": cluster,
			"ce-time": "2026-01-02T03:04:05.06Z", "content-type": "application/json",
		})
	})
	t.Run("a wake-up of a node pool, without platform and trace", func(t *testing.T) {
		t.Parallel()
		q := q
		q.Kind, q.Platform, q.Traceparent = models.KindNodePool, "", ""
		q.Event.NodePoolID, q.Event.Type, q.Event.Reason = pool, "nodepool.reconcile", v1.ReasonStable
		q.Event.Timestamp = time.Date(2026, 1, 2, 4, 4, 5, 0, time.FixedZone("", 3600))
		q.Event.Metadata = v1.EventMetadata{TriggeredBy: v1.TriggeredByScheduler, Interval: "5m"}
		compare(t, q, `{"id":"`+id+`","type":"nodepool.reconcile","cluster_id":"`+cluster+`","nodepool_id":"`+pool+`","generation":3,`+
			`"timestamp":"2026-01-02T03:04:05Z","source":"cls-backend","reason":"stable",`+
			`"metadata":{"triggered_by":"scheduler","interval":"5m"}}`, map[string]string{
			"event_type": "nodepool.reconcile", "cluster_id": cluster, "nodepool_id": pool, "generation": "3", "platform": "",
			"reason": "stable", "source": "cls-backend", "timestamp": "2026-01-02T03:04:05Z", "created_by": "a@example.com",
			"ce-specversion": "1.0", "ce-id": id, "ce-source": "cls-backend", "ce-type": "nodepool.reconcile", "ce-subject": pool,
			"ce-time": "2026-01-02T03:04:05Z", "content-type": "application/json",
		})
	})
}

func compare(t *testing.T, q models.QueuedEvent, data string, attributes map[string]string) {
	t.Helper()
	m, err := pubsub.Encode(q)
	must(t, err)
	if diff := cmp.Diff(data, string(m.GetData())); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(attributes, m.GetAttributes()); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if m.GetOrderingKey() != q.Event.ClusterID {
		t.Errorf("ordering key %q, want the cluster's id", m.GetOrderingKey())
	}
}

// What is encoded is what is decoded.
func TestMessagesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringN(1, 20, -1)
		q := models.QueuedEvent{
			Platform: rapid.String().Draw(t, "platform"), CreatedBy: word.Draw(t, "created_by"), Traceparent: rapid.String().Draw(t, "traceparent"),
			Event: v1.Event{
				ID: word.Draw(t, "id"), Type: word.Draw(t, "type"), ClusterID: word.Draw(t, "cluster"), NodePoolID: rapid.String().Draw(t, "pool"),
				Generation: rapid.Int64().Draw(t, "generation"), Source: v1.Source, Reason: rapid.String().Draw(t, "reason"),
				Timestamp: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "timestamp")).UTC(),
				Metadata: v1.EventMetadata{
					TriggeredBy: rapid.String().Draw(t, "triggered_by"), UserEmail: rapid.String().Draw(t, "email"),
					Interval: rapid.String().Draw(t, "interval"), ForceDelete: rapid.Bool().Draw(t, "force"),
				},
			},
		}
		m, err := pubsub.Encode(q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pubsub.Decode(m.GetData(), m.GetAttributes())
		if err != nil {
			t.Fatal(err)
		}
		want := pubsub.Received{Event: q.Event, Platform: q.Platform, CreatedBy: q.CreatedBy, Traceparent: q.Traceparent}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestDecodeTakesNoNonsense(t *testing.T) {
	t.Parallel()
	for data, ok := range map[string]bool{
		``:                      false,
		`hello`:                 false,
		`{}`:                    false, // no event
		`{"id":"i","type":"t"}`: false, // of which cluster?
		`{"id":1,"type":"t"}`:   false,
		`{"id":"i","type":"cluster.created","cluster_id":"c","colour":"red"}`: true, // a newer service may say more
	} {
		if _, err := pubsub.Decode([]byte(data), nil); (err == nil) != ok {
			t.Errorf("%s: %v", data, err)
		}
	}
}
