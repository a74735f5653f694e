package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/proof"
	"github.com/cls-backend/cls-backend/test/wire"
)

// required are the controllers that new clusters wait for.
func required() []string { return []string{"ready-dns", "ready-network", "ready-nodes"} }

// perSecond is how many clusters are led to Ready a second while nothing else happens: few enough to leave the machine idle.
const perSecond = 20

// background is how many creations a second there are beside.
const background = 100

// reportToReady leads clusters to Ready, on an idle service and beside creations.
func (l *lab) reportToReady(ctx context.Context, r *rig, s *section) error {
	raw, err := l.fresh(ctx, r)
	if err != nil {
		return err
	}
	if err := errors.Join(raw.close(), r.require(ctx)); err != nil {
		return err
	}
	t := table{Title: "Report to Ready:", Header: []string{
		"creations /s beside", "p50 ms", "p99 ms", "max ms", "clusters", "first GET said otherwise",
	}}
	not := 0
	for i, beside := range []float64{0, background} {
		due := arrivals(l.random(uint64(i)+10), perSecond, dosed(l, 500*time.Millisecond, 20*time.Second))
		w, err := l.beside(ctx, r, beside, due)
		if err != nil {
			return fmt.Errorf("beside %.0f creations a second: %w", beside, err)
		}
		not += w.not
		t.add(whole(beside), ms(percentile(w.took, 0.5)), ms(percentile(w.took, 0.99)), ms(percentile(w.took, 1)), len(w.took), w.not)
		at := map[bool]string{true: "on an idle service", false: fmt.Sprintf("beside %d creations a second", background)}[beside == 0]
		s.Figures = append(s.Figures,
			proof.Measured("report to Ready "+at+", p50", milliseconds(percentile(w.took, 0.5)), "ms"),
			proof.Measured("report to Ready "+at+", p99", milliseconds(percentile(w.took, 0.99)), "ms"))
	}
	s.Tables = append(s.Tables, t)
	s.Figures = append(s.Figures, proof.AtMost("first GETs after the last report that did not say Ready", float64(not), "", 0))
	return nil
}

// require registers the controllers, and waits until the service has calculated all statuses anew.
func (r *rig) require(ctx context.Context) error {
	for _, name := range required() {
		body := encode(v1.RegisterController{Kinds: []string{"cluster"}, Required: true})
		if err := r.once(ctx, newRequest(http.MethodPut, "/api/v1/controllers/"+name, controller, body, http.StatusOK)); err != nil {
			return err
		}
	}
	err := r.poll(ctx, "the statuses to follow the registry", 100*time.Millisecond, func(ctx context.Context) (done bool, err error) {
		err = r.db.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM clusters
			WHERE deleted_at IS NULL AND registry_version < (SELECT version FROM registry))`).Scan(&done)
		return done, err
	})
	return errors.Join(err, r.settle(ctx))
}

// beside leads a cluster to Ready whenever one is due, while others are created at a rate.
func (l *lab) beside(ctx context.Context, r *rig, rate float64, due []time.Duration) (w walk, err error) {
	group, ctx := errgroup.WithContext(ctx)
	if rate > 0 {
		created := arrivals(l.random(20), rate, due[len(due)-1])
		group.Go(func() error {
			o, err := generateOpen(ctx, r.apiAddr, arriving, created, create)
			if err == nil && o.refused > 0 {
				err = fmt.Errorf("%d of %d creations were refused", o.refused, len(created))
			}
			return err
		})
	}
	group.Go(func() error {
		w, err = walkAll(ctx, r.apiAddr, due)
		return err
	})
	return w, group.Wait()
}

// walk is what has come of clusters that were led to Ready.
type walk struct {
	took []sample // from when the last report was sent to when the GET that says Ready was answered
	not  int      // how often the first GET did not
}

// walkAll leads one cluster after the other to Ready, each when it is due or the one before is done.
func walkAll(ctx context.Context, addr string, due []time.Duration) (w walk, err error) {
	c, err := wire.Dial(ctx, addr)
	if err != nil {
		return w, err
	}
	defer c.Close()
	clock, err := newAlarm()
	if err != nil {
		return w, err
	}
	defer clock.close()
	began := time.Now()
	for k, at := range due {
		if err := errors.Join(ctx.Err(), clock.wait(at-time.Since(began))); err != nil {
			return w, err
		}
		if err := w.lead(c, k, at); err != nil {
			return w, err
		}
	}
	return w, nil
}

// lead creates a cluster and reports on it, for all that it waits for.
func (w *walk) lead(c *wire.Connection, k int, at time.Duration) error {
	answer, err := ask(c, create(k))
	if err != nil {
		return err
	}
	var made v1.Cluster
	if err := json.Unmarshal(answer, &made); err != nil {
		return fmt.Errorf("read the answer to a creation: %w", err)
	}
	var sent time.Time
	for i := range required() {
		if i == len(required())-1 {
			before, err := phaseOf(c, made.ID)
			if err != nil {
				return err
			}
			if before.Status.Phase == v1.PhaseReady {
				return fmt.Errorf("cluster %s is Ready before the last report", made.ID)
			}
			sent = time.Now()
		}
		if err := do(c, available(made.ID, i)); err != nil {
			return err
		}
	}
	after, again, err := untilReady(c, made.ID)
	if err != nil {
		return err
	}
	w.took = append(w.took, sample{at: at, took: after.Sub(sent)})
	if again {
		w.not++
	}
	return nil
}

// available is the report of a required controller that all is well.
func available(id string, i int) request {
	r := report(0, 0)
	r.ControllerName = required()[i]
	return newRequest(http.MethodPut, clustersPath+"/"+id+"/status", controller, encode(r), http.StatusOK)
}

// phaseOf reads a cluster of the newcomer's.
func phaseOf(c *wire.Connection, id string) (v1.Cluster, error) {
	var found v1.Cluster
	r := newRequest(http.MethodGet, clustersPath+"/"+id, newcomer, nil, http.StatusOK)
	r.rows = rowCheck{1, 1}
	answer, err := ask(c, r)
	if err == nil {
		err = json.Unmarshal(answer, &found)
	}
	return found, err
}

// readyLimit is how long a cluster may take to be Ready once all have reported.
const readyLimit = 10 * time.Second

// untilReady reads a cluster until it is Ready, and says whether the first read did not say so.
func untilReady(c *wire.Connection, id string) (at time.Time, again bool, err error) {
	for began := time.Now(); ; again = true {
		found, err := phaseOf(c, id)
		at = time.Now()
		if err != nil || found.Status.Phase == v1.PhaseReady {
			return at, again, err
		}
		if at.Sub(began) > readyLimit {
			return at, again, fmt.Errorf("cluster %s is %s %v after the last report", id, found.Status.Phase, readyLimit)
		}
	}
}
