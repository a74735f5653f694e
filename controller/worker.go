package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

	handled *recent

	mu      sync.Mutex
	retries map[key]*retry
	// saidRetired is when the log has last had that the controller is retired.
	saidRetired time.Time
}

// retry is what is known of a resource that is to be tried again. What has come to its end has none. It is for who has the
// resource in hand.
type retry struct {
	backoff

	// Before this time the author wants no wake-up of this generation.
	notBefore  time.Time
	generation int64
}

func newWorker(r Reconciler, o Options) (*worker, error) {
	w := &worker{reconciler: r, options: o, log: o.Log, queue: newQueue(), handled: newRecent(), retries: map[key]*retry{}}
	w.finalizer, _ = r.(Finalizer)
	var err error
	w.metrics, err = newMetrics(o, w.queue)
	return w, err
}

// process does what a job asks for, and settles its events.
func (w *worker) process(ctx context.Context, j job) {
	if outcome := w.needless(j); outcome != "" {
		w.metrics.event(outcome)
		j.settle(true)
		return
	}
	outcome, err := w.handle(ctx, j)
	switch {
	case err == nil:
		w.handled.note(j.ids)
	case errors.Is(err, client.ErrNotFound): // Gone: nothing is left to do or to say.
		w.forget(j.key)
		outcome, err = outcomeGone, nil
	case ctx.Err() == nil:
		outcome = outcomeUnreported
		w.log.WarnContext(ctx, "nothing could be reported; trying again", string(j.kind), j.id, "error", err)
		w.queue.addAfter(j.key, j.clusterID, w.retryOf(j.key).next())
	default:
		outcome = outcomeInterrupted
	}
	w.metrics.event(outcome)
	j.settle(err == nil)
}

// needless is what becomes of a job that needs no look; "" for one that does. A pause of the resource goes on.
func (w *worker) needless(j job) string {
	switch {
	case j.due:
		return ""
	case w.handled.knows(j.ids):
		return outcomeStale
	case !j.pressing && w.early(j):
		return outcomeEarly
	}
	return ""
}

// early reports whether the author has named a later time to try a generation again.
func (w *worker) early(j job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.retries[j.key]
	return r != nil && j.event.Generation == r.generation && time.Now().Before(r.notBefore)
}

// handle reads the resource, has the author's code look after it and reports. Its error says that there is no report.
func (w *worker) handle(ctx context.Context, j job) (outcome string, err error) {
	req, err := w.read(ctx, j)
	if err != nil {
		return "", err
	}
	own, _ := req.Report(w.options.Name)
	switch {
	case !w.mine(req.platform()) && !w.holds(req, own):
		w.forget(j.key)
		return outcomeForeign, nil
	case !j.due && j.event.Generation < own.ObservedGeneration:
		return outcomeStale, nil
	case req.Deleting() && (w.finalizer == nil || own.ObservedGeneration == req.Generation() && said(own, v1.ConditionFinalized)):
		w.forget(j.key)
		return outcomeDone, nil
	}
	return w.attend(ctx, j, req, own)
}

// holds reports whether a deletion waits for the controller, which has built something there, wherever the resource is now.
func (w *worker) holds(req Request, own v1.ControllerStatus) bool {
	return w.finalizer != nil && req.Deleting() && statusOf(own, v1.ConditionFinalized) != ""
}

// attend calls the author's code, reports what has come of it, and says when to look again.
func (w *worker) attend(ctx context.Context, j job, req Request, own v1.ControllerStatus) (outcome string, err error) {
	w.queue.stopPause(j.key) // It was for this.
	result, failure := w.call(ctx, req, own)
	if ctx.Err() != nil && failure != nil {
		return "", ctx.Err() // Cut short, which is no failure of the author's.
	}
	outcome, err = w.tell(ctx, req, own, result, failure)
	if invalid, ok := errors.AsType[*Error](err); ok {
		w.log.WarnContext(ctx, "the result cannot be reported", string(req.Kind), req.ID(), "error", err)
		result, failure = Result{}, invalid
		outcome, err = w.tell(ctx, req, own, result, failure)
	}
	if err != nil {
		return "", err
	}
	w.lookAgain(j, req, result, failure)
	return outcome, nil
}

// lookAgain sets the pause after a reconcile that is reported.
func (w *worker) lookAgain(j job, req Request, result Result, failure *Error) {
	if failure == nil || failure.terminal() {
		w.forget(j.key)
		if failure == nil && result.RequeueAfter > 0 {
			w.queue.addAfter(j.key, j.clusterID, result.RequeueAfter)
		}
		return
	}
	again := w.retryOf(j.key)
	again.notBefore = time.Time{}
	pause := again.next()
	if failure.RetryAfter > 0 {
		pause = failure.RetryAfter
		again.notBefore, again.generation = time.Now().Add(pause), req.Generation()
	}
	w.queue.addAfter(j.key, j.clusterID, pause)
}

// tell reports what has come of a reconcile, and says how that counts. What can never be reported is an [*Error].
func (w *worker) tell(ctx context.Context, req Request, own v1.ControllerStatus, r Result, f *Error) (outcome string, err error) {
	report, err := w.reportOf(ctx, req, own, r, f)
	if err != nil {
		return "", invalidResult(err)
	}
	answer, err := w.report(ctx, req, report)
	if isRefusal(err) {
		return "", invalidResult(err)
	}
	if answer.Reason == v1.NotAppliedRetired {
		w.sayRetired(ctx)
		return outcomeRetired, err
	}
	return outcomeDone, err
}

// isRefusal reports whether the service will never take a report.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func invalidResult(err error) *Error {
	return &Error{Type: v1.ErrorSystem, Code: "InvalidResult", Err: err}
}

// sayRetired warns now and then that the controller works in vain.
func (w *worker) sayRetired(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.saidRetired) < time.Minute {
		return
	}
	w.saidRetired = time.Now()
	w.log.WarnContext(ctx, "the controller is retired: its reports count nowhere until it is started again")
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
	failure = w.guarded(ctx, func() (err error) {
		result, err = do(ctx, req)
		return err
	})
	end()
	w.metrics.called(what, failure != nil, time.Since(began))
	if failure != nil {
		w.log.WarnContext(ctx, "the controller's code failed", "call", what, string(req.Kind), req.ID(),
			"generation", req.Generation(), "error_type", failure.Type, "error", failure.Err)
	}
	return result, failure
}

// guarded calls the author's code in a goroutine of its own, so that one cluster takes no others along: neither by a panic
// nor by an end of the goroutine, as of a failed test.
func (w *worker) guarded(ctx context.Context, do func() error) *Error {
	ended := make(chan *Error, 1)
	go func() {
		failure := &Error{Type: v1.ErrorSystem, Code: "Exited", Err: errors.New("the code has ended its goroutine")}
		defer func() {
			if p := recover(); p != nil {
				w.log.ErrorContext(ctx, "the controller's code panicked", "panic", p, "stack", string(debug.Stack()))
				failure = &Error{Type: v1.ErrorSystem, Code: "Panic", Err: fmt.Errorf("panic: %v", p)}
			}
			ended <- failure
		}()
		if err := do(); err != nil {
			failure = failureOf(err) // Its words are the author's code too.
		} else {
			failure = nil
		}
	}()
	return <-ended
}

// progress reports that work on a new generation is under way, when it has lasted a while. The returned func ends that: no
// such report is on its way afterwards, so none can come after the one on the outcome.
func (w *worker) progress(ctx context.Context, req Request, own v1.ControllerStatus) (end func()) {
	if own.ObservedGeneration == req.Generation() || said(own, v1.ConditionProgressing) {
		return func() {} // It is said already, perhaps in better words.
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
		if _, err := w.tell(ctx, req, own, Result{Waiting: true}, nil); err != nil && ctx.Err() == nil {
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
	return conditionOf(s, condition).Status
}

// conditionOf is a condition of a report; the zero one when it is not there.
func conditionOf(s v1.ControllerStatus, condition string) v1.ReportedCondition {
	for _, c := range slices.Backward(s.Conditions) {
		if c.Type == condition {
			return c
		}
	}
	return v1.ReportedCondition{}
}

// reportOf says what has come of a reconcile. A failure leaves Available as it was: what ran before may run on.
func (w *worker) reportOf(ctx context.Context, req Request, own v1.ControllerStatus, r Result, f *Error) (v1.StatusReport, error) {
	available := v1.ReportedCondition{
		Type: v1.ConditionAvailable, Status: v1.ConditionTrue, Reason: cmp.Or(r.Reason, "Reconciled"), Message: r.Message,
	}
	report := v1.StatusReport{ControllerName: w.options.Name, ObservedGeneration: req.Generation(), Metadata: own.Metadata}
	switch {
	case f != nil:
		available.Status, available.Reason, available.Message = statusOf(own, v1.ConditionAvailable), f.Code, f.Err.Error()
		available.Status = cmp.Or(available.Status, v1.ConditionFalse)
		report.LastError = f.report()
	case r.Waiting && rollsOut(req, own):
		// What ran before runs on, and is reported as it was, beside what goes on.
		report.ObservedGeneration, available = own.ObservedGeneration, conditionOf(own, v1.ConditionAvailable)
		report.Conditions = append(report.Conditions, v1.ReportedCondition{
			Type: v1.ConditionProgressing, Status: v1.ConditionTrue, Reason: cmp.Or(r.Reason, "InProgress"), Message: r.Message,
		})
	case r.Waiting:
		available.Status, available.Reason = v1.ConditionFalse, cmp.Or(r.Reason, "InProgress")
	case req.Deleting():
		available.Status, available.Reason = v1.ConditionFalse, cmp.Or(r.Reason, "Finalized")
	}
	report.Conditions = slices.Insert(report.Conditions, 0, available)
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
	if wrong := w.guarded(ctx, func() error { return encode(r.Metadata, &report.Metadata) }); wrong != nil {
		return report, fmt.Errorf("the metadata of the result: %w", wrong.Err)
	}
	return report, nil
}

// rollsOut reports whether a new spec is on its way to what is available with an older one.
func rollsOut(req Request, own v1.ControllerStatus) bool {
	return !req.Deleting() && own.ObservedGeneration < req.Generation() && said(own, v1.ConditionAvailable)
}

func encode(metadata any, into *v1.Object) error {
	text, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	return into.UnmarshalJSON(text)
}

// report stores what is said of a resource. One that the service has no use for any more is as good as stored.
func (w *worker) report(ctx context.Context, req Request, r v1.StatusReport) (v1.ReportResult, error) {
	if req.Kind == KindNodePool {
		return w.options.Client.ReportNodePoolStatus(ctx, req.ID(), r)
	}
	return w.options.Client.ReportClusterStatus(ctx, req.ID(), r)
}

// retryOf is what is known of a resource that is to be tried again.
func (w *worker) retryOf(k key) *retry {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.retries[k]
	if r == nil {
		r = &retry{backoff: backoff{first: w.options.FirstRetry, longest: w.options.LongestRetry}}
		w.retries[k] = r
	}
	return r
}

// forget has nothing tried again of a resource.
func (w *worker) forget(k key) {
	w.queue.stopPause(k)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.retries, k)
}
