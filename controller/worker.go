package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// worker brings one resource after the other to what its spec says. It is safe for concurrent use; the queue sees to it
// that no two goroutines have the same resource.
type worker struct {
	reconciler Reconciler
	finalizer  Finalizer // nil when nothing is to be taken down
	options    Options
	log        *slog.Logger
	queue      *queue
	metrics    *metrics

	mu       sync.Mutex
	memories map[key]*memory
}

// memory is what is known of a resource from before.
type memory struct {
	generation int64    // handled last
	events     []string // ids of the events handled last
	retry      backoff
}

// remembered is how many events of a resource are known again when they come twice.
const remembered = 16

func newWorker(r Reconciler, o Options) (*worker, error) {
	w := &worker{reconciler: r, options: o, log: o.Log, queue: newQueue(), memories: map[key]*memory{}}
	w.finalizer, _ = r.(Finalizer)
	var err error
	w.metrics, err = newMetrics(o, w.queue)
	return w, err
}

// process does what a job asks for, and settles its events.
func (w *worker) process(ctx context.Context, j job) {
	m := w.memoryOf(j.key)
	if len(j.events) > 0 && (j.event.Generation < m.generation || m.knows(j.ids)) {
		w.metrics.event(outcomeStale)
		j.settle(true)
		return
	}
	outcome, err := w.handle(ctx, j, m)
	switch {
	case err == nil:
		m.note(j.ids)
	case errors.Is(err, client.ErrNotFound): // Gone: nothing is left to do or to say.
		w.forget(j.key)
		outcome, err = outcomeGone, nil
	case ctx.Err() == nil:
		outcome = outcomeUnreported
		w.log.WarnContext(ctx, "nothing could be reported; trying again", string(j.kind), j.id, "error", err)
		w.queue.addAfter(j.key, j.clusterID, m.retry.next())
	default:
		outcome = outcomeInterrupted
	}
	w.metrics.event(outcome)
	j.settle(err == nil)
}

// handle reads the resource, has the author's code look after it and reports. Its error says that there is no report.
func (w *worker) handle(ctx context.Context, j job, m *memory) (outcome string, err error) {
	req, err := w.read(ctx, j)
	if err != nil {
		return "", err
	}
	own, _ := req.Report(w.options.Name)
	switch {
	case !w.mine(req.platform()):
		return outcomeForeign, nil
	case len(j.events) > 0 && j.event.Generation < own.ObservedGeneration:
		return outcomeStale, nil
	case req.Deleting() && (w.finalizer == nil || own.ObservedGeneration == req.Generation() && said(own, v1.ConditionFinalized)):
		w.forget(j.key)
		return outcomeDone, nil
	}
	return outcomeDone, w.attend(ctx, j, m, req, own)
}

// attend calls the author's code, reports what has come of it, and says when to look again.
func (w *worker) attend(ctx context.Context, j job, m *memory, req Request, own v1.ControllerStatus) error {
	result, failure := w.call(ctx, req, own)
	if ctx.Err() != nil && failure != nil {
		return ctx.Err() // Cut short, which is no failure of the author's.
	}
	report, err := w.reportOf(req, own, result, failure)
	if err != nil {
		failure = &Error{Type: v1.ErrorSystem, Code: "InvalidResult", Err: err}
		if report, err = w.reportOf(req, own, Result{}, failure); err != nil {
			return err
		}
	}
	if err := w.report(ctx, req, report); err != nil {
		return err
	}
	m.generation = req.Generation()
	switch {
	case failure == nil:
		m.retry.reset()
		if result.RequeueAfter > 0 {
			w.queue.addAfter(j.key, j.clusterID, result.RequeueAfter)
		}
	case !failure.terminal():
		w.queue.addAfter(j.key, j.clusterID, cmp.Or(failure.RetryAfter, m.retry.next()))
	}
	return nil
}

// read reads the resource and what is said of it, as they are now.
func (w *worker) read(ctx context.Context, j job) (req Request, err error) {
	req = Request{Kind: j.kind, Event: j.event}
	c := w.options.Client
	if j.kind == KindNodePool {
		status, err := c.GetNodePoolStatus(ctx, j.id)
		if err != nil {
			return req, err
		}
		pool, err := c.GetNodePool(ctx, j.id)
		if err != nil {
			return req, err
		}
		req.Reports, req.NodePool = status.ControllerStatus, &pool
		req.Cluster, err = c.GetCluster(ctx, j.clusterID)
		return req, err
	}
	status, err := c.GetClusterStatus(ctx, j.id)
	if err != nil {
		return req, err
	}
	req.Reports = status.ControllerStatus
	req.Cluster, err = c.GetCluster(ctx, j.id)
	return req, err
}

// call calls the author's code, once what it needs is there. What takes long is reported to be under way.
func (w *worker) call(ctx context.Context, req Request, own v1.ControllerStatus) (result Result, failure *Error) {
	if missing := w.missing(req); len(missing) > 0 && !req.Deleting() {
		return Result{Waiting: true, Reason: "WaitingForDependencies", Message: "waiting for " + strings.Join(missing, ", ")}, nil
	}
	do, what := w.reconciler.Reconcile, "reconcile"
	if req.Deleting() {
		do, what = w.finalizer.Finalize, "finalize"
	}
	end := w.progress(ctx, req, own)
	began := time.Now()
	err := guarded(func() (err error) {
		result, err = do(ctx, req)
		return err
	})
	end()
	w.metrics.called(what, err, time.Since(began))
	if err == nil {
		return result, nil
	}
	f := failureOf(err)
	w.log.WarnContext(ctx, "the controller's code failed", "call", what, string(req.Kind), req.ID(),
		"generation", req.Generation(), "error_type", f.Type, "error", err)
	return result, &f
}

// guarded turns a panic of the author's code into an error, so that one cluster does not take all others along.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Error{Type: v1.ErrorSystem, Code: "Panic", Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return do()
}

// progress reports that work on a new generation is under way, when it has lasted a while. The returned func ends that: no
// such report is on its way afterwards, so none can come after the one on the outcome.
func (w *worker) progress(ctx context.Context, req Request, own v1.ControllerStatus) (end func()) {
	if own.ObservedGeneration == req.Generation() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(w.options.ProgressAfter)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		report, err := w.reportOf(req, own, Result{Waiting: true}, nil)
		if err == nil {
			err = w.report(ctx, req, report)
		}
		if err != nil && ctx.Err() == nil {
			w.log.DebugContext(ctx, "progress could not be reported", "error", err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// missing names what other controllers have not reported yet.
func (w *worker) missing(req Request) (missing []string) {
	for _, n := range w.options.Needs {
		if !n.met(req) {
			missing = append(missing, n.String())
		}
	}
	return missing
}

func (n Need) met(req Request) bool {
	return slices.ContainsFunc(req.Reports, func(s v1.ControllerStatus) bool {
		if s.ControllerName != n.Controller || s.ObservedGeneration != req.Generation() || !said(s, n.Condition) {
			return false
		}
		var metadata map[string]json.RawMessage
		_ = json.Unmarshal([]byte(s.Metadata), &metadata) // It is an object.
		return n.Metadata == "" || metadata[n.Metadata] != nil
	})
}

// String is the need in words.
func (n Need) String() string {
	if n.Metadata != "" {
		return n.Controller + ": " + n.Condition + " with " + n.Metadata
	}
	return n.Controller + ": " + n.Condition
}

// said reports whether a condition of a report is True.
func said(s v1.ControllerStatus, condition string) bool {
	return statusOf(s, condition) == v1.ConditionTrue
}

// statusOf is that of a condition in a report; "" when it is not there.
func statusOf(s v1.ControllerStatus, condition string) v1.ConditionStatus {
	for _, c := range slices.Backward(s.Conditions) {
		if c.Type == condition {
			return c.Status
		}
	}
	return ""
}

// reportOf says what has come of a reconcile. A failure leaves Available as it was: what ran before may run on.
func (w *worker) reportOf(req Request, own v1.ControllerStatus, r Result, f *Error) (v1.StatusReport, error) {
	available := v1.ReportedCondition{
		Type: v1.ConditionAvailable, Status: v1.ConditionTrue, Reason: cmp.Or(r.Reason, "Reconciled"), Message: r.Message,
	}
	report := v1.StatusReport{ControllerName: w.options.Name, ObservedGeneration: req.Generation(), Metadata: own.Metadata}
	switch {
	case f != nil:
		available.Status, available.Reason, available.Message = statusOf(own, v1.ConditionAvailable), f.Code, f.Err.Error()
		available.Status = cmp.Or(available.Status, v1.ConditionFalse)
		report.LastError = f.report()
	case r.Waiting:
		available.Status, available.Reason = v1.ConditionFalse, cmp.Or(r.Reason, "InProgress")
	case req.Deleting():
		available.Status, available.Reason = v1.ConditionFalse, cmp.Or(r.Reason, "Finalized")
	}
	report.Conditions = append(report.Conditions, available)
	if w.finalizer != nil {
		finalized := available
		finalized.Type, finalized.Status = v1.ConditionFinalized, v1.ConditionFalse
		if req.Deleting() && f == nil && !r.Waiting {
			finalized.Status = v1.ConditionTrue
		}
		report.Conditions = append(report.Conditions, finalized)
	}
	report.Conditions = append(report.Conditions, r.Conditions...)
	if r.Metadata == nil {
		return report, nil
	}
	text, err := json.Marshal(r.Metadata)
	if err == nil {
		err = report.Metadata.UnmarshalJSON(text)
	}
	if err != nil {
		return report, fmt.Errorf("the metadata of the result: %w", err)
	}
	return report, nil
}

// report stores what is said of a resource. One that the service has no use for any more is as good as stored.
func (w *worker) report(ctx context.Context, req Request, r v1.StatusReport) error {
	var err error
	if req.Kind == KindNodePool {
		_, err = w.options.Client.ReportNodePoolStatus(ctx, req.ID(), r)
	} else {
		_, err = w.options.Client.ReportClusterStatus(ctx, req.ID(), r)
	}
	return err
}

// memoryOf is what is known of a resource; who has the resource in hand may change it.
func (w *worker) memoryOf(k key) *memory {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.memories[k]
	if m == nil {
		m = &memory{retry: backoff{first: w.options.FirstRetry, longest: w.options.LongestRetry}}
		w.memories[k] = m
	}
	return m
}

func (w *worker) forget(k key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.memories, k)
}

// knows reports whether all events of a burst have been handled: one that is new is a reason to look.
func (m *memory) knows(events []string) bool {
	return !slices.ContainsFunc(events, func(id string) bool { return !slices.Contains(m.events, id) })
}

// note remembers events that are handled.
func (m *memory) note(events []string) {
	m.events = append(m.events, events...)
	m.events = slices.Delete(m.events, 0, max(0, len(m.events)-remembered))
}
