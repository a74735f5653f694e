package outbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
)

// The points at which a child process kills itself, on the n-th event.
const (
	afterCommit   = "after-commit"   // its transaction is committed, no relay has run
	beforePublish = "before-publish" // claimed, not published
	beforeMark    = "before-mark"    // published, not marked
)

const (
	killEnv = "CLS_OUTBOX_KILL" // point and n: this process is such a child
	kills   = 50
)

// TestRelayChild is the child: it commits changes, relays them, and dies on the way.
func TestRelayChild(t *testing.T) {
	t.Parallel()
	point, number, ok := strings.Cut(os.Getenv(killEnv), " ")
	if !ok {
		return // run as a test of its own it has nothing to say
	}
	n, err := strconv.Atoi(number)
	must(t, err)
	w := &world{url: os.Getenv("CLS_OUTBOX_DATABASE"), server: &server{addr: os.Getenv("CLS_OUTBOX_PUBSUB")}}
	w.db = openDB(t, w.url)
	die := &death{point: point, n: int64(n)}
	for range 2 {
		c := w.create(t)
		die.reach(afterCommit, c.ID)
		for range 3 {
			w.mustUpdate(t, c.ID)
			die.reach(afterCommit, c.ID)
		}
	}
	publisher := &dyingPublisher{Publisher: openPubSub(t, w.server.addr), death: die}
	r := outbox.New(w.db, publisher, &counter{}, quiet(), shortLease)
	_ = r.Run(t.Context())
}

// shortLease is that of the children, so that a test need not wait for 10 s.
var shortLease = outbox.Options{Lease: 100 * time.Millisecond}

// death kills this process when a point is reached for the n-th time.
type death struct {
	point string
	n     int64
	count atomic.Int64
}

func (d *death) reach(point, what string) {
	if point == d.point && d.count.Add(1) == d.n {
		fmt.Printf("killed %s %s\n", point, what)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the kernel has done it
	}
}

// dyingPublisher dies before it publishes an event, or after, when the relay knows
// nothing of the success yet.
type dyingPublisher struct {
	outbox.Publisher

	death *death
	tried sync.Map // ids: on a busy machine a lease ends before its mark, and an event comes again
}

func (p *dyingPublisher) Publish(ctx context.Context, event models.QueuedEvent) error {
	if _, again := p.tried.LoadOrStore(event.Event.ID, true); !again {
		p.death.reach(beforePublish, event.Event.ID)
	}
	err := p.Publisher.Publish(ctx, event)
	if err == nil {
		p.death.reach(beforeMark, event.Event.ID)
	}
	return err
}

// A process that is killed between any two steps loses no event: 50 times at each point,
// on each event that it handles, with a fresh relay to finish after each.
func TestKilledProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	for _, point := range []string{afterCommit, beforePublish, beforeMark} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			publisher := openPubSub(t, w.server.addr)
			left := int64(0)
			for kill := range kills {
				before := w.server.published()
				what := w.runKilled(t, point, 1+kill%8)
				w.checkDeath(t, point, what, before)
				left += w.backlog(t).Unpublished
				w.drive(t, outbox.New(w.db, publisher, &counter{}, quiet(), outbox.Options{}))
			}
			duplicates := w.verify(t)
			t.Logf("%d killed, %d events left by them in all; %d events, %d duplicates", kills, left, len(w.rows(t)), duplicates)
			if point == beforeMark && duplicates < kills {
				t.Errorf("%d duplicates: not every process died with an event published and not marked", duplicates)
			}
		})
	}
}

// runKilled runs a child that is to die, and returns what it was at.
func (w *world) runKilled(t *testing.T, point string, n int) (what string) {
	t.Helper()
	file, err := os.Executable()
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	child := exec.CommandContext(ctx, file, "-test.run=^TestRelayChild$")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", killEnv, point, n),
		"CLS_OUTBOX_DATABASE="+w.url, "CLS_OUTBOX_PUBSUB="+w.server.addr)
	out, err := child.CombinedOutput()
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	what, marked := strings.CutPrefix(strings.TrimSpace(string(out)), "killed "+point+" ")
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL || !marked {
		t.Fatalf("the child was to die %s on event %d: %v: %s", point, n, err, out)
	}
	return what
}

// checkDeath checks that a child left the event that it was at as it must be left there.
// before is what was on record when the child began.
func (w *world) checkDeath(t *testing.T, point, what string, before []string) {
	t.Helper()
	if w.backlog(t).Unpublished == 0 {
		t.Error("nothing was left to publish")
	}
	now := w.server.published()[len(before):]
	if point == afterCommit {
		if len(now) != 0 {
			t.Errorf("%d events are on record, though no relay ran", len(now))
		}
		if _, err := w.db.Get(t.Context(), what, ""); err != nil {
			t.Errorf("what was committed is gone: %v", err)
		}
		return
	}
	if onRecord := slices.Contains(now, what); onRecord != (point == beforeMark) {
		t.Errorf("died %s: event %s on record: %v", point, what, onRecord)
	}
	for _, r := range w.rows(t) {
		if r.ID == what && r.Published {
			t.Errorf("died %s: event %s is marked", point, what)
		}
	}
}
