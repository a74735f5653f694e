package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/wire"
)

func storms() []scenario {
	return []scenario{{
		name: "reports/storm", promise: "However reports come, the newest stands, and the same again costs nothing.",
		about: "Three controllers of each of 200 clusters (at the short dose 100) report over three replicas, from twelve senders who " +
			"know nothing of each other: the same again, older ones after newer ones, of generations that are past, while clients change " +
			"the specs. What a report was answered is judged as it comes, by what was answered before it was sent, since the record " +
			"would not hold them all.",
		full: dose{times: 1_000_000}, short: dose{times: 5000}, unit: "reports", run: reportStorm,
	}}
}

const (
	stormy       = 200 // clusters; fewer where there are not fifty reports for each
	stormWriters = 12  // senders
	stormTexts   = 3   // different reports of a controller on a generation
	// heartbeat is how often a report that is equal to the stored one may be written down as heard.
	heartbeat = 30 * time.Second
)

// target is a cluster that is reported on.
type target struct {
	id         string
	generation atomic.Int64 // the newest that was answered
	slots      []*slot
}

// said is a report as it is remembered: of a generation, one of a few.
type said struct {
	generation int64
	text       int
	start, end time.Time
}

// slot is where a controller's report on a cluster is kept, and what is known of it: enough to judge the next answer. It
// is safe for concurrent use.
type slot struct {
	in   *target
	name string

	mu      sync.Mutex
	sent    int64  // the newest generation that was ever sent
	applied int64  // the newest generation whose report was answered as applied
	may     []said // those of that generation that may be the stored one
}

// send notes that a report goes out, and returns the generation that is stored at the least.
func (s *slot) send(generation int64) (stored int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = max(s.sent, generation)
	return s.applied
}

// answered judges what came back; "" is right. stored is what send has returned.
func (s *slot) answered(r said, stored int64, applied bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case applied && r.generation < stored:
		return fmt.Sprintf("%s reported on generation %d after %d was stored, and it was applied", s.name, r.generation, stored)
	case !applied && r.generation >= s.sent:
		return fmt.Sprintf("%s reported on generation %d, nobody on a newer one, and it was not applied", s.name, r.generation)
	case !applied || r.generation < s.applied:
		return ""
	case r.generation > s.applied:
		s.may = nil
	}
	s.applied = r.generation
	kept := s.may[:0]
	for _, before := range s.may {
		if !before.end.Before(r.start) && before.text != r.text { // Else this one came after it, or says the same for longer.
			kept = append(kept, before)
		} else if before.text == r.text && before.end.After(r.end) {
			r.end = before.end
		}
	}
	kept = append(kept, r)
	s.may = kept
	return ""
}

// mayKeep reports whether a stored report is one of those that may be.
func (s *slot) mayKeep(generation int64, text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.may {
		if r.generation == generation && wording(r.text) == text {
			return true
		}
	}
	return false
}

func wording(text int) string { return fmt.Sprintf("text %d", text) }

// storm is what the senders share.
type storm struct {
	targets []*target
	left    atomic.Int64

	mu             sync.Mutex
	applied, stale int
	wrong          int
	what           string
}

// count adds what a sender has seen.
func (s *storm) count(applied, stale int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied += applied
	s.stale += stale
}

func (s *storm) isWrong(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong++; s.what == "" {
		s.what = ", such as: " + what
	}
}

// sent is a report that can be sent again.
type sent struct {
	slot    *slot
	said    said
	request []byte
}

func newSent(s *slot, generation int64, text int) sent {
	says := []v1.ConditionStatus{v1.ConditionTrue, v1.ConditionFalse}[text%2]
	report := v1.StatusReport{ControllerName: s.name, ObservedGeneration: generation, Conditions: []v1.ReportedCondition{
		{Type: v1.ConditionAvailable, Status: says, Reason: "Storm", Message: wording(text)},
	}}
	body, err := json.Marshal(report)
	if err != nil { // It is of our own making.
		panic("fault: " + err.Error())
	}
	return sent{
		slot: s, said: said{generation: generation, text: text},
		request: wire.Request(http.MethodPut, "/api/v1/clusters/"+s.in.id+"/status", robot, body),
	}
}

// remembered is how many reports a sender may send again.
const remembered = 100

// draw is one report: one that the sender has sent already, or one of a generation that is the present one, or nearly, or
// long past.
func (s *storm) draw(rng *rand.Rand, before []sent) sent {
	at := rng.IntN(100)
	if len(before) > 0 && at < 40 {
		return before[rng.IntN(len(before))]
	}
	t := s.targets[rng.IntN(len(s.targets))]
	generation := t.generation.Load()
	switch {
	case at < 55:
		generation = 1 + rng.Int64N(generation)
	case at < 75:
		generation = max(1, generation-rng.Int64N(3))
	}
	return newSent(t.slots[rng.IntN(len(t.slots))], generation, rng.IntN(stormTexts))
}

// send sends reports over one connection until there are none left.
func (s *storm) send(ctx context.Context, at string, rng *rand.Rand) error {
	c, err := wire.Dial(ctx, at)
	if err != nil {
		return err
	}
	defer c.Close()
	var (
		before         []sent
		applied, stale int
	)
	defer func() { s.count(applied, stale) }()
	for s.left.Add(-1) >= 0 && ctx.Err() == nil {
		next := s.draw(rng, before)
		if len(before) < remembered {
			before = append(before, next)
		} else {
			before[rng.IntN(remembered)] = next
		}
		took, err := s.report(c, next)
		switch {
		case err != nil:
			s.left.Store(0) // The others need not go on.
			return err
		case took:
			applied++
		default:
			stale++
		}
	}
	return ctx.Err()
}

// report sends one and judges the answer.
func (s *storm) report(c *wire.Connection, r sent) (applied bool, err error) {
	stored := r.slot.send(r.said.generation)
	r.said.start = time.Now()
	answer, err := c.Do(r.request, patience)
	if err != nil {
		return false, err
	}
	r.said.end = time.Now()
	var said v1.ReportResult
	if err := json.Unmarshal(answer.Body, &said); err != nil || answer.Status != http.StatusOK {
		return false, fmt.Errorf("a report was answered %d: %.500s", answer.Status, answer.Body)
	}
	if wrong := r.slot.answered(r.said, stored, said.Applied); wrong != "" {
		s.isWrong(wrong)
	}
	return said.Applied, nil
}

// everywhere has each sender do something with an address of its own.
func (w *world) everywhere(do func(sender int, at string) error) error {
	errs := make([]error, stormWriters)
	var all sync.WaitGroup
	for i := range errs {
		at := w.replicas[i%len(w.replicas)].process().api
		all.Go(func() { errs[i] = do(i, at) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func reportStorm(ctx context.Context, w *world, d dose) ([]figure, error) {
	l := w.startLoad(ctx, 4, 15) // Beside it, the usual.
	s, err := w.newStorm(ctx, l, min(stormy, d.times/50))
	if err != nil {
		return nil, err
	}
	s.left.Store(int64(d.times))
	changes := w.startChanging(ctx, l, s)
	began := time.Now()
	err = w.everywhere(func(i int, at string) error {
		return s.send(ctx, at, w.rig.random(fmt.Sprintf("%s sender%d", w.scenario.name, i)))
	})
	took, changed := time.Since(began), changes()
	if err != nil {
		return nil, err
	}
	stored, err := w.storedReports(ctx, s)
	if err != nil {
		return nil, err
	}
	repeated, err := w.repeatAll(ctx, s, stored, d.times/10)
	if err != nil {
		return nil, err
	}
	c := w.client("storm", owner)
	for _, t := range s.targets {
		l.persist(ctx, "delete", func() error {
			_, err := c.DeleteCluster(ctx, t.id)
			return err
		})
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return w.over(ctx, l, "a storm of reports", began, append([]figure{
		measured("reports a second", float64(d.times)/took.Seconds(), ""),
		atLeast("of which applied", float64(s.applied), "", 1),
		atLeast("of which refused as older than what is stored", float64(s.stale), "", 1),
		atLeast("changes of the spec meanwhile", float64(changed), "", 1),
		atMost("answers or stored reports that were wrong"+s.what, float64(s.wrong), "", 0),
		measured("heap of the rig in the end", float64(memory.HeapAlloc)/(1<<20), "MiB"),
	}, repeated...)...)
}

// newStorm makes the clusters, on a platform that no other controller works on.
func (w *world) newStorm(ctx context.Context, l *load, clusters int) (*storm, error) {
	c, s := w.client("storm", owner), &storm{}
	for i := range clusters {
		made, err := c.CreateCluster(ctx, v1.CreateCluster{Name: fmt.Sprintf("storm-%d", i), Spec: spec(nobodys, l.mark(w.rng))})
		if err != nil {
			return nil, err
		}
		t := &target{id: made.ID}
		t.generation.Store(made.Generation)
		for _, part := range []string{"a", "b", "c"} {
			t.slots = append(t.slots, &slot{in: t, name: fmt.Sprintf("storm-%d-%s", i, part)})
		}
		s.targets = append(s.targets, t)
	}
	return s, nil
}

// startChanging changes specs and reads statuses, on record, until the returned func is called, which says how many
// changes there were.
func (w *world) startChanging(ctx context.Context, l *load, s *storm) (end func() int) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		all     sync.WaitGroup
		changed atomic.Int64
	)
	for i := range 2 {
		name := fmt.Sprintf("changer%d", i+1)
		c, rng := w.client(name, owner), w.rig.random(w.scenario.name+" "+name)
		all.Go(func() {
			for pause(ctx, rand.N(100*time.Millisecond)) == nil {
				t := s.targets[rng.IntN(len(s.targets))]
				it := &item{kind: "cluster", id: t.id, platform: nobodys}
				ctx := context.WithoutCancel(ctx)
				l.persist(ctx, "update", func() error {
					made, err := c.UpdateCluster(ctx, t.id, v1.UpdateCluster{Spec: spec(nobodys, l.mark(rng))})
					for now := t.generation.Load(); err == nil && made.Generation > now && !t.generation.CompareAndSwap(now, made.Generation); {
						now = t.generation.Load()
					}
					return err
				})
				changed.Add(1)
				l.status(ctx, c, rng, it)
			}
		})
	}
	return func() int {
		cancel()
		all.Wait()
		return int(changed.Load())
	}
}

// storedReport is a report as the database has it, and the version of its row.
type storedReport struct {
	ClusterID, Controller string
	Generation            int64
	Text, Row             string
	StoredAt, HeardAt     time.Time
	ResourceVersion       int64 // the cluster's
}

// storedReports reads what is stored of the storm, and holds it against what was answered.
func (w *world) storedReports(ctx context.Context, s *storm) (map[*slot]storedReport, error) {
	found, err := rows[storedReport](ctx, w, pgx.RowToStructByPos[storedReport], `
		SELECT s.cluster_id::text, s.controller_name, s.observed_generation, s.conditions -> 0 ->> 'message', s.xmin::text,
		       s.stored_at, s.updated_at, c.resource_version
		FROM controller_status s JOIN clusters c ON c.id = s.cluster_id WHERE s.controller_name LIKE 'storm-%'`)
	if err != nil {
		return nil, err
	}
	byName := map[string]storedReport{}
	for _, r := range found {
		byName[r.Controller] = r
	}
	stored := map[*slot]storedReport{}
	for _, t := range s.targets {
		for _, slot := range t.slots {
			r, ok := byName[slot.name]
			if ok != (slot.applied > 0) || ok && !slot.mayKeep(r.Generation, r.Text) {
				s.isWrong(fmt.Sprintf("stored of %s is generation %d, %q, and that cannot be", slot.name, r.Generation, r.Text))
			}
			if ok {
				stored[slot] = r
			}
		}
	}
	return stored, nil
}

// repeatAll sends what is stored again, n reports in all, and counts what that has written.
func (w *world) repeatAll(ctx context.Context, s *storm, stored map[*slot]storedReport, n int) ([]figure, error) {
	var again []sent
	for slot, r := range stored {
		for text := range stormTexts {
			if wording(text) == r.Text {
				again = append(again, newSent(slot, r.Generation, text))
			}
		}
	}
	rounds := max(1, n/max(1, len(again)))
	soon, written := 0, 0
	refused := atomic.Int64{}
	for range rounds {
		err := w.everywhere(func(i int, at string) error { return s.repeat(ctx, at, again, i, &refused) })
		if err != nil {
			return nil, err
		}
		now, err := w.storedReports(ctx, s)
		if err != nil {
			return nil, err
		}
		for slot, after := range now {
			before := stored[slot]
			if after.Row != before.Row && after.HeardAt.Sub(before.HeardAt) < heartbeat {
				soon++
			}
			if !after.StoredAt.Equal(before.StoredAt) || after.ResourceVersion != before.ResourceVersion {
				written++
			}
		}
		stored = now
	}
	return []figure{
		atLeast("reports that were sent again, equal to what is stored", float64(rounds*len(again)), "", 1),
		atMost("of which not applied", float64(refused.Load()), "", 0),
		atMost("of which changed the report or the version of the cluster", float64(written), "", 0),
		atMost("of which wrote a heartbeat sooner than after 30 s", float64(soon), "", 0),
	}, nil
}

// repeat sends the share of one sender.
func (s *storm) repeat(ctx context.Context, at string, again []sent, sender int, refused *atomic.Int64) error {
	c, err := wire.Dial(ctx, at)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := sender; i < len(again); i += stormWriters {
		applied, err := s.report(c, again[i])
		if err != nil {
			return err
		}
		if !applied {
			refused.Add(1)
		}
	}
	return ctx.Err()
}
