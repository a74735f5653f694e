package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
)

// brokenStore is the database behind a connection that breaks: by then a statement may
// have been carried out, or not.
type brokenStore struct {
	outbox.Store

	claims, marks atomic.Int64 // how many are still to fail
}

var errBroken = errors.New("the connection broke")

func (s *brokenStore) ClaimEvents(ctx context.Context, claim string, lease time.Duration, limit int) ([]models.QueuedEvent, error) {
	if s.claims.Add(-1) >= 0 {
		return nil, errBroken
	}
	return s.Store.ClaimEvents(ctx, claim, lease, limit)
}

func (s *brokenStore) MarkPublished(ctx context.Context, events []models.QueuedEvent) (bool, error) {
	if s.marks.Add(-1) >= 0 {
		return false, errBroken
	}
	return s.Store.MarkPublished(ctx, events)
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) count(words string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), words)
}

// The loop goes on through an outage of the database, and logs its begin and its end.
func TestAnOutageOfTheDatabaseIsTwoLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t)
	store, log := &brokenStore{Store: w.db}, &journal{}
	store.claims.Store(3)
	r := outbox.New(store, openPubSub(t, w.server.addr), &counter{}, log.logger(), outbox.Options{})
	stop := run(t, r)
	w.awaitDrained(t)
	await(t, "the end of the outage to be logged", func() bool { return log.count("again") == 1 })
	stop()
	if n := log.count("trying on"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.text.String())
	}
	w.verify(t)
}

// A mark that fails is made good in a later pass, without publishing again.
func TestAFailedMarkIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t)
	store := &brokenStore{Store: w.db}
	store.marks.Store(2)
	r := outbox.New(store, openPubSub(t, w.server.addr), &counter{}, quiet(), outbox.Options{})
	failed := 0
	for published := 0; published == 0; { // A pass without an outcome to mark neither fails nor publishes.
		result, err := r.RunOnce(t.Context())
		if errors.Is(err, errBroken) {
			failed++
		}
		published = result.Published
	}
	if failed != 2 {
		t.Errorf("%d passes failed, not the two whose mark did", failed)
	}
	if n := w.verify(t); n != 0 {
		t.Errorf("%d duplicates", n)
	}
}

// While nothing can be published, few events are tried at a time, and what is logged is a
// line in a while, however many fail.
func TestAnOutageOfPubSubIsProbed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const clusters = 600
	w.fill(t, clusters)
	w.server.when(func(context.Context, *pb.PubsubMessage) error { return status.Error(codes.Unavailable, "away") })
	log := &journal{}
	r := outbox.New(w.db, openPubSub(t, w.server.addr), &counter{}, log.logger(), atOnce)
	var claims []int
	for claimed, failed := 0, 0; len(claims) < 3 || failed < claimed; { // till what took longer than its pass is in
		result, err := r.RunOnce(t.Context())
		must(t, err)
		claims = append(claims, result.Claimed)
		claimed, failed = claimed+result.Claimed, failed+result.Failed
	}
	if last := claims[len(claims)-1]; claims[0] < 100 || last == 0 || last > 20 {
		t.Errorf("the passes claimed %v events", claims)
	}
	if n := log.count("trying on"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	w.server.when(nil)
	w.drive(t, r)
	w.verify(t)
}
