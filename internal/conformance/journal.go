package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// observer hands over each message about resources of a kind that is published after it has called ready, until ctx ends.
type observer func(ctx context.Context, kind models.Kind, ready func(), take func(pubsub.Message)) error

// readsEvents reports whether a check can only be run where events are received.
func (c Check) readsEvents() bool { return strings.HasPrefix(c.Name, "events/") }

// message is one as it came, with the event in it.
type message struct {
	pubsub.Message

	kind  models.Kind // whose topic it came on
	event v1.Event
}

// journal keeps what is published, by the cluster or node pool that it is about. It is safe for concurrent use.
type journal struct {
	mu      sync.Mutex
	entries map[string][]message
	// news is closed and made anew with each entry.
	news chan struct{}
}

func newJournal() *journal {
	return &journal{entries: map[string][]message{}, news: make(chan struct{})}
}

// listenLimit bounds how long the making of subscriptions may take.
const listenLimit = 30 * time.Second

// write fills the journal, and returns once nothing is missed any more. stop ends it, and waits for that.
func (j *journal) write(ctx context.Context, observe observer) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	var ready sync.WaitGroup
	for _, kind := range models.Kinds() {
		ready.Add(1)
		group.Go(func() error {
			return observe(ctx, kind, sync.OnceFunc(ready.Done), func(m pubsub.Message) { j.add(kind, m) })
		})
	}
	stop = func() {
		cancel()
		_ = group.Wait() // What stops it early shows in the checks, which miss their events.
	}
	listening := make(chan struct{})
	go func() {
		ready.Wait()
		close(listening)
	}()
	select {
	case <-listening:
		return stop, nil
	case <-ctx.Done():
		cancel()
		return nil, fmt.Errorf("receive events: %w", group.Wait())
	case <-time.After(listenLimit):
		cancel()
		return nil, errors.Join(errors.New("receive events: there is no subscription yet"), group.Wait())
	}
}

func (j *journal) add(kind models.Kind, m pubsub.Message) {
	entry := message{Message: m, kind: kind}
	if json.Unmarshal(m.Data, &entry.event) != nil {
		return // Nobody's: no check gets to see it.
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	id := cmp.Or(entry.event.NodePoolID, entry.event.ClusterID)
	j.entries[id] = append(j.entries[id], entry)
	close(j.news)
	j.news = make(chan struct{})
}

// of returns what has been published about a resource, and a channel that is closed when there is more.
func (j *journal) of(id string) ([]message, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.entries[id]), j.news
}

// await waits for an event about a resource of the check's kind, by its action and its reason, and returns the first.
func (p *probe) await(ctx context.Context, id string, action models.Action, reason string) message {
	return p.awaitType(ctx, id, p.kind.Event(action), reason)
}

// awaitType waits for an event of a type and a reason, and returns the first.
func (p *probe) awaitType(ctx context.Context, id, eventType, reason string) message {
	return p.awaitWhere(ctx, id, eventType+" ("+reason+")", p.patience, func(m message) bool {
		return m.event.Type == eventType && m.event.Reason == reason
	})
}

// awaitWhere waits for an event about a resource that is as wanted, and returns the first.
func (p *probe) awaitWhere(ctx context.Context, id, what string, patience time.Duration, wanted func(message) bool) message {
	late := time.After(patience)
	for {
		entries, news := p.journal.of(id)
		for _, m := range entries {
			if wanted(m) {
				return m
			}
		}
		select {
		case <-news:
		case <-late:
			p.fail(fmt.Sprintf("%s%s within %v", awaited, what, patience), "only "+strings.Join(told(entries), ", "))
		case <-ctx.Done():
			p.fail(awaited+what, ctx.Err().Error())
		}
	}
}

// awaited begins what is expected of an event that does not come.
const awaited = "an event "

// told is a list of events for people.
func told(list []message) []string {
	words := make([]string, len(list))
	for i, m := range list {
		words[i] = fmt.Sprintf("%s (%s) of generation %d", m.event.Type, m.event.Reason, m.event.Generation)
	}
	return words
}
