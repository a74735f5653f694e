package models

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Place is the place of a resource in the schedule.
type Place struct {
	// Due is when its next wake-up is due.
	Due time.Time
	// Enabled is false while the resource is paused: nothing comes by itself.
	Enabled bool
	// Reactive says that a report has pulled the wake-up forward.
	Reactive bool
}

// Explain says in sentences why a resource is not Ready, or that it is. Like [Aggregate], whose phase
// and reason it gives, it is a pure function, the same for every kind. It says of everybody whom the
// status waits for why, and of nobody else; of a resource that waits for nobody in particular, who works on
// such ones.
func Explain(ref Ref, f Facts, g Registry, p Place, c Cadence) v1.Explanation {
	out, t := Aggregate(f), newTally(f)
	waiting, reasons := t.waits(f)
	e := v1.Explanation{
		ClusterID: ref.ClusterID, NodePoolID: ref.NodePoolID(),
		Generation: f.Object.Generation, Phase: out.Status.Phase, Reason: out.Status.Reason, WaitingFor: waiting,
	}
	if p.Enabled && !f.Object.ended() {
		e.NextEvent = c.next(f, out.Status, p)
	}
	e.Sentences = slices.Concat(t.opening(f, out, g), reasons, closing(f, out, e.NextEvent))
	return e
}

// next returns the wake-up that is due next, in the lane that it will be in if nothing happens before.
func (c Cadence) next(f Facts, status v1.Status, p Place) *v1.NextEvent {
	lane := c.Lane(f.Object.Attention(status), later(p.Due, f.Now))
	e := ScheduledWake("", f.Object.Kind, lane, p.Reactive)
	next := &v1.NextEvent{Type: e.Type, DueAt: p.Due, Lane: e.Reason}
	if status.Phase == v1.PhaseDeleting {
		next.Type = deletionPending(e, f.Object.Kind).Type
	}
	return next
}

// opening says what has become of the resource.
func (t *tally) opening(f Facts, out Outcome, g Registry) []string {
	noun, progress := f.Object.Kind.Noun(), t.progress()
	sentence := fmt.Sprintf("The %s is %s at generation %d", noun, out.Status.Phase, f.Object.Generation)
	switch {
	case out.Status.Phase == v1.PhaseDeleting:
		return openingOfTheEnd(f.Object)
	case out.Status.Phase == v1.PhasePending:
		return t.openingOfTheBeginning(f.Object, g)
	case out.Status.Phase == v1.PhaseReady:
		sentence = fmt.Sprintf("All is well: the %s is Ready at generation %d, with %s: %s.",
			noun, f.Object.Generation, progress, names(t.expected))
	case out.Status.Reason == ReasonControllerFailed:
		sentence += fmt.Sprintf(" because of %s: %s.", names(t.failed), progress)
	case out.Status.Reason == ReasonProgressDeadlineExceeded:
		sentence += fmt.Sprintf(": there was no progress within %s of %s; %s.", IntervalName(f.ProgressDeadline), moment(t.since), progress)
	default:
		sentence += ": " + progress + "."
	}
	return []string{sentence}
}

func (t *tally) openingOfTheBeginning(o Object, g Registry) []string {
	sentences := []string{fmt.Sprintf("The %s is Pending: no controller has reported on it yet.", o.Kind.Noun())}
	if len(t.expected) == 0 {
		return append(sentences, g.whoMayCome(o), "None is required for it, so it waits for whichever reports first.")
	}
	return sentences
}

// whoMayCome says who is registered for such a resource or, where nobody is, for what platforms the others are.
func (g Registry) whoMayCome(o Object) string {
	var here, platforms []string
	for name, c := range g.Controllers {
		says := c.Registration
		if ofTheKind := (Registration{Kinds: says.Kinds}).Concerns(o.Kind, ""); !c.Registered || c.RetiredAt != nil || !ofTheKind {
			continue
		}
		platforms = append(platforms, says.Platforms...)
		// A node pool that names no platform is where its cluster is.
		if says.Concerns(o.Kind, o.Platform) || o.Kind == KindNodePool && o.Platform == "" {
			here = append(here, name)
		}
	}
	slices.Sort(here)
	slices.Sort(platforms)
	elsewhere := names(slices.Compact(platforms))
	switch {
	case len(here) > 0:
		return "Registered for it: " + names(here) + "."
	case elsewhere == "":
		return fmt.Sprintf("No controller is registered for any %s.", o.Kind.Noun())
	case o.Platform == "":
		return "Its spec names no platform.type, and those who are registered work on these platforms only: " + elsewhere + "."
	}
	return fmt.Sprintf("No controller is registered for platform %s, only for: %s.", o.Platform, elsewhere)
}

func openingOfTheEnd(o Object) []string {
	sentences := []string{fmt.Sprintf("The deletion of the %s was asked for at %s.", o.Kind.Noun(), moment(o.DeletionTimestamp))}
	switch {
	case o.Pools:
		return append(sentences, "It waits for its node pools, which go first.")
	case o.ended():
		return append(sentences, "It waits for nobody any more: the next pass of the scheduler ends it, and no event comes by itself.")
	}
	return sentences
}

// ended reports whether a deletion waits for nothing.
func (o Object) ended() bool {
	return !o.DeletionTimestamp.IsZero() && len(o.Holders) == 0 && !o.Pools
}

// closing says what comes by itself.
func closing(f Facts, out Outcome, next *v1.NextEvent) []string {
	var sentences []string
	if !out.RecheckAt.IsZero() {
		sentences = append(sentences, fmt.Sprintf("Without progress it counts as Failed from %s on.", moment(out.RecheckAt)))
	}
	switch {
	case f.Object.ended():
		return sentences
	case next == nil:
		return append(sentences, fmt.Sprintf("The %s is paused: no event comes by itself, only those of changes and of POST .../reconcile.",
			f.Object.Kind.Noun()))
	case next.DueAt.After(f.Now):
		return append(sentences, fmt.Sprintf("The next event, %s, is due at %s in the %s lane.", next.Type, moment(next.DueAt), next.Lane))
	}
	return append(sentences, fmt.Sprintf("The next event, %s, has been due since %s in the %s lane: the next pass sends it.",
		next.Type, moment(next.DueAt), next.Lane))
}

// waits returns for whom a resource waits, in the order of the names, and why in sentences, of which
// the longest lists are shortened.
func (t *tally) waits(f Facts) ([]v1.WaitedFor, []string) {
	waiting, why := t.waiting, f.notReady
	if !f.Object.DeletionTimestamp.IsZero() {
		waiting, why = f.Object.Holders, f.holds
	}
	reports := make(map[string]Report, len(f.Reports))
	for _, r := range f.Reports {
		reports[r.ControllerName] = r
	}
	list := make([]v1.WaitedFor, 0, len(waiting))
	var sentences []string
	for i, name := range waiting {
		w, sentence := why(reports[name])
		w.ControllerName = name
		list = append(list, w)
		if i < maxNames {
			sentences = append(sentences, shorten(name, maxName)+" "+sentence+".")
		}
	}
	if more := len(waiting) - maxNames; more > 0 {
		sentences = append(sentences, fmt.Sprintf("It waits for %d more besides.", more))
	}
	return list, sentences
}

// holds says why a deletion waits for a holder, whose report may be the zero one.
func (f Facts) holds(r Report) (v1.WaitedFor, string) {
	w := v1.WaitedFor{Why: v1.WaitFinalizer, Message: inItsWords(r, v1.ConditionFinalized), Since: &f.Object.DeletionTimestamp}
	return w, "holds the deletion until it reports Finalized=True" + quoted(w.Message)
}

// notReady says why a controller is not counted as ready; its report is the zero one if there is none.
func (f Facts) notReady(r Report) (w v1.WaitedFor, sentence string) {
	w = v1.WaitedFor{Message: inItsWords(r, v1.ConditionAvailable), Since: &r.CountedAt}
	switch {
	case r.ControllerName == "":
		w.Why, w.Since = v1.WaitNeverReported, &f.Object.GenerationStartedAt
		return w, "is required, and has not reported; it has been waited for since " + moment(*w.Since)
	case r.ObservedGeneration != f.Object.Generation:
		w.Why, w.Since = v1.WaitBehindGeneration, &f.Object.GenerationStartedAt
		sentence = fmt.Sprintf("has not reported on generation %d, which began at %s; its report is of generation %d",
			f.Object.Generation, moment(*w.Since), r.ObservedGeneration)
	case r.LastError != nil && IsTerminal(r.LastError.ErrorType):
		w.Why = v1.WaitError
		sentence = fmt.Sprintf("reports an error of type %s, %s, since %s", r.LastError.ErrorType, whoHelps(r.LastError), moment(*w.Since))
	case conditionStatus(r.Conditions, v1.ConditionFailed) == v1.ConditionTrue:
		w.Why, w.Message = v1.WaitError, inItsWords(r, v1.ConditionFailed)
		sentence = "reports Failed=True since " + moment(*w.Since)
	case r.LastError != nil:
		w.Why = v1.WaitError
		sentence = fmt.Sprintf("reports an error of type %s, which it will retry, since %s",
			shorten(r.LastError.ErrorType, maxName), moment(*w.Since))
	default:
		w.Why, w.Since = v1.WaitNotAvailable, &r.AvailableChangedAt
		sentence = "has not been available since " + moment(*w.Since)
	}
	return w, sentence + quoted(w.Message)
}

// whoHelps says of an error that trying again does not mend who can.
func whoHelps(e *v1.ReportError) string {
	if e.UserActionable {
		return "which whoever declared it can mend"
	}
	return "which needs help"
}

// maxWords bounds what is repeated of a controller's words.
const maxWords = 256

// inItsWords returns the words of a report: those of its error, or of a condition.
func inItsWords(r Report, condition string) string {
	var words string
	if e := r.LastError; e != nil {
		words = cmp.Or(e.Message, e.ErrorCode)
	}
	if at := slices.IndexFunc(r.Conditions, func(c v1.ReportedCondition) bool { return c.Type == condition }); at >= 0 {
		words = cmp.Or(words, r.Conditions[at].Message, r.Conditions[at].Reason)
	}
	return shorten(words, maxWords)
}

// quoted ends a sentence with a controller's words, on one line whatever is in them.
func quoted(words string) string {
	if words == "" {
		return ""
	}
	return fmt.Sprintf("; it says %q", words)
}

// moment writes a time for people.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
