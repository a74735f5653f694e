package pubsub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// health is what the latest calls have shown. There is no probe: Pub/Sub has nothing to
// ask that says whether a publish would work.
type health struct {
	mu        sync.Mutex
	publish   string            // why the latest publish failed, "" when it did not
	creations map[string]string // why a topic could not be created, by its id
}

// Health reports whether the latest publish worked, and if none was tried since,
// whether the topics could be created; otherwise why not, in words for an operator.
func (s *Service) Health() (ok bool, why string) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.publish != "" {
		return false, h.publish
	}
	for _, id := range slices.Sorted(maps.Keys(h.creations)) {
		return false, h.creations[id]
	}
	return true, ""
}

// published notes the outcome of a publish. One that its caller gave up says nothing,
// and one that was refused for what is in it says that Pub/Sub is there.
func (h *health) published(topic string, err error) {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && !isRefusal(err) {
		h.publish = "publishing to " + topic + " fails: " + status.Code(err).String()
		return
	}
	h.publish = ""
	delete(h.creations, topic)
}

// creation notes the outcome of creating a topic.
func (h *health) creation(topic string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.creations, topic)
		return
	}
	if h.creations == nil {
		h.creations = map[string]string{}
	}
	h.creations[topic] = "creating topic " + topic + " fails: " + status.Code(err).String()
}
