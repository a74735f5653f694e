package models

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// past is the plain history of a life. It judges by what was done, from the beginning, and by
// nothing that the rules keep; it is slow and simple on purpose.
type past struct {
	kind     Kind
	platform string
	now      time.Time
	begun    []time.Time // when each generation began
	entries  []entry     // of the registry
	taken    []taken     // reports that were applied
	drops    []taken
	deletion time.Time
	held     []string // who held the deletion when it began
	forced   bool
	gone     bool

	names   string    // who was expected after the last deed
	changed time.Time // when that changed
	seen    int       // how many of the stored statuses were judged
	before  v1.Status // the last of them
	updated time.Time // the latest lastUpdateTime that anybody was told
}

// entry is a registration, or a retirement.
type entry struct {
	at      time.Time
	who     string
	says    Registration
	retired bool
}

// taken is a report that was applied, or the dropping of one.
type taken struct {
	at       time.Time
	who      string
	observed int64
	said     said
}

func newPast(s script) *past {
	return &past{kind: s.kind, platform: s.platform, now: start, begun: []time.Time{start}}
}

func (h *past) generation() int64  { return int64(len(h.begun)) }
func (h *past) started() time.Time { return h.begun[len(h.begun)-1] }

// note writes down a deed, unless it was refused.
func (h *past) note(d deed) {
	h.now = h.now.Add(d.after)
	alive := !h.gone && h.deletion.IsZero()
	switch d.act { //nolint:exhaustive // time passes for all
	case reporting:
		h.noteReport(d)
	case registering:
		h.entries = append(h.entries, entry{at: h.now, who: d.who, says: d.says})
	case retiring:
		if _, known := h.entryAt(d.who, h.now); known || h.knownByReport(d.who) {
			h.entries = append(h.entries, entry{at: h.now, who: d.who, retired: true})
		}
	case changingSpec, changingPlatform:
		if alive {
			h.begun = append(h.begun, h.now)
		}
		if alive && d.act == changingPlatform {
			h.platform = d.platform
		}
	case dropping:
		if _, ok := h.latest(d.who); ok && !h.gone {
			h.drops = append(h.drops, taken{at: h.now, who: d.who})
			h.changed = h.now
		}
	case ending, forcing:
		if alive {
			h.begun = append(h.begun, h.now)
			h.deletion = h.now
			h.held = h.whoHolds()
		} else {
			h.forced = h.forced || d.act == forcing
		}
	}
	if names := strings.Join(h.expected(), " "); names != h.names {
		h.names, h.changed = names, h.now
	}
}

func (h *past) noteReport(d deed) {
	r := taken{at: h.now, who: d.who, said: d.said, observed: observed(d.said.lag, h.generation())}
	last, known := h.latest(d.who)
	if !h.gone && !h.retired(d.who) && (!known || last.observed <= r.observed) {
		h.taken = append(h.taken, r)
	}
}

func (h *past) knownByReport(who string) bool {
	return slices.ContainsFunc(h.taken, func(r taken) bool { return r.who == who })
}

// entryAt returns what the registry said of a controller at a time.
func (h *past) entryAt(who string, at time.Time) (last entry, ok bool) {
	for _, e := range h.entries {
		if e.who == who && !e.at.After(at) {
			last, ok = e, true
		}
	}
	return last, ok
}

func (h *past) retired(who string) bool {
	e, _ := h.entryAt(who, h.now)
	return e.retired
}

// concerned reports whether an entry is a registration for what the resource is.
func (h *past) concerned(e entry) bool {
	kind, platform := len(e.says.Kinds) == 0, len(e.says.Platforms) == 0
	for _, k := range e.says.Kinds {
		kind = kind || k == h.kind
	}
	for _, p := range e.says.Platforms {
		platform = platform || p == h.platform
	}
	return !e.retired && kind && platform
}

// counted reports whether reports count under an entry: without a platform a resource is nobody else's.
func (h *past) counted(e entry) bool {
	if h.platform == "" {
		e.says.Platforms = nil
	}
	return h.concerned(e)
}

// since returns the reports of a controller since its last one was dropped.
func (h *past) since(who string) (list []taken) {
	var from time.Time
	for _, d := range h.drops {
		if d.who == who {
			from = d.at
		}
	}
	for _, r := range h.taken {
		if r.who == who && r.at.After(from) {
			list = append(list, r)
		}
	}
	return list
}

func (h *past) latest(who string) (taken, bool) {
	list := h.since(who)
	if len(list) == 0 {
		return taken{}, false
	}
	return list[len(list)-1], true
}

// expected is who must have reported: who has, unless it is retired or registered for others; and
// who was required when the generation began, and ever since.
func (h *past) expected() (names []string) {
	for _, who := range lifeNames {
		e, entered := h.entryAt(who, h.now)
		if _, reported := h.latest(who); reported {
			if !entered || h.counted(e) {
				names = append(names, who)
			}
			continue
		}
		e, entered = h.entryAt(who, h.started())
		required := entered && h.concerned(e) && e.says.Required
		for _, e := range h.entries {
			if e.who == who && e.at.After(h.started()) {
				required = required && h.concerned(e) && e.says.Required
			}
		}
		if required {
			names = append(names, who)
		}
	}
	return names
}

// whoHolds is who holds a deletion that begins now.
func (h *past) whoHolds() (names []string) {
	for _, who := range lifeNames {
		e, entered := h.entryAt(who, h.now)
		r, _ := h.latest(who)
		if !h.retired(who) && (entered && h.concerned(e) && e.says.Finalizes || r.said.finalized != "") {
			names = append(names, who)
		}
	}
	return names
}

// holders is who holds the deletion still: who neither has confirmed it nor was retired since.
func (h *past) holders() (names []string) {
	for _, who := range h.held {
		gone := h.forced
		for _, r := range h.taken {
			gone = gone || r.who == who && r.at.After(h.deletion) && r.observed == h.generation() && r.said.finalized == v1.ConditionTrue
		}
		for _, e := range h.entries {
			gone = gone || e.who == who && e.retired && e.at.After(h.deletion)
		}
		if !gone {
			names = append(names, who)
		}
	}
	return names
}

// wanted is what a status must say.
type wanted struct {
	phase      v1.Phase
	reason     string
	observed   int64
	available  v1.ConditionStatus
	degraded   bool
	waitingFor []string
}

// status is what the history asks for.
func (h *past) status() (w wanted) {
	var (
		expected              = h.expected()
		reported, ready, down int
		failed, erring        bool
		waited                = h.changed
	)
	for _, who := range expected {
		r, ok := h.latest(who)
		if !ok {
			w.waitingFor = append(w.waitingFor, who)
			continue
		}
		if reported++; reported == 1 || r.observed < w.observed {
			w.observed = r.observed
		}
		isError, current := r.said.errorType != "", r.observed == h.generation()
		terminal := r.said.failed || r.said.errorType == "Fatal" || r.said.errorType == "Configuration"
		w.degraded = w.degraded || isError
		failed = failed || current && terminal
		erring = erring || current && isError
		if r.said.available != v1.ConditionTrue {
			down++
		}
		if current && r.said.available == v1.ConditionTrue && !isError && !terminal {
			ready++
		} else {
			w.waitingFor = append(w.waitingFor, who)
		}
		for i, list := 0, h.since(who); i < len(list); i++ {
			if (i == 0 || list[i].said.available != list[i-1].said.available) && list[i].at.After(waited) {
				waited = list[i].at
			}
		}
	}
	if h.started().After(waited) {
		waited = h.started()
	}
	if reported < len(expected) {
		w.observed = 0
	}
	switch {
	case down > 0:
		w.available = v1.ConditionFalse
	case reported == 0 || reported < len(expected):
		w.available = v1.ConditionUnknown
	default:
		w.available = v1.ConditionTrue
	}
	switch {
	case !h.deletion.IsZero():
		w.phase, w.reason, w.waitingFor = v1.PhaseDeleting, "WaitingForFinalizers", h.holders()
	case reported == 0:
		w.phase, w.reason = v1.PhasePending, "NoControllers"
	case failed:
		w.phase, w.reason = v1.PhaseFailed, "ControllerFailed"
	case ready == len(expected):
		w.phase, w.reason = v1.PhaseReady, "AllControllersReady"
	case h.now.Sub(waited) >= 30*time.Minute:
		w.phase, w.reason = v1.PhaseFailed, "ProgressDeadlineExceeded"
	case erring:
		w.phase, w.reason = v1.PhaseProgressing, "ControllersWithErrors"
	case ready > 0:
		w.phase, w.reason = v1.PhaseProgressing, "PartialProgress"
	default:
		w.phase, w.reason = v1.PhaseProgressing, "ControllersProvisioning"
	}
	return w
}

// judge compares a life with its history and returns what is wrong; "" for nothing.
func (h *past) judge(l *life) string {
	holders := h.holders()
	h.gone = l.gone
	switch {
	case l.gone && h.deletion.IsZero():
		return "gone, and nobody has deleted it"
	case l.gone && len(holders) > 0:
		return fmt.Sprintf("gone, held by %v", holders)
	case l.gone:
		return ""
	}
	if got, want := l.facts().Expected.Names, h.expected(); !slices.Equal(got, want) {
		return fmt.Sprintf("expected are %v, by the history %v", got, want)
	}
	answer := l.answer().out.Status
	if fault := h.judgeStatus(answer); fault != "" {
		return fault
	}
	if fault := h.judgeTimes(l, answer); fault != "" {
		return fault
	}
	return sameWhatever(l, answer)
}

func (h *past) judgeStatus(s v1.Status) string {
	w := h.status()
	c := byTypeOf(s)
	ready, under := statusOf(w.phase == v1.PhaseReady), statusOf(w.phase == v1.PhaseProgressing || w.phase == v1.PhaseDeleting)
	switch {
	case s.Phase != w.phase || s.Reason != w.reason:
		return fmt.Sprintf("it is %s/%s, by the history %s/%s; %s", s.Phase, s.Reason, w.phase, w.reason, s.Message)
	case s.ObservedGeneration != w.observed:
		return fmt.Sprintf("observed generation %d, by the history %d", s.ObservedGeneration, w.observed)
	case c["Ready"].Status != ready, c["Progressing"].Status != under, c["Available"].Status != w.available, c["Degraded"].Status != statusOf(w.degraded):
		return fmt.Sprintf("conditions %+v, by the history %+v", s.Conditions, w)
	case (c["Deleting"].Status == v1.ConditionTrue) == h.deletion.IsZero():
		return fmt.Sprintf("conditions %+v of a deletion at %v", s.Conditions, h.deletion)
	}
	for _, who := range lifeNames {
		_, waiting, _ := strings.Cut(s.Message, "waiting for ")
		if strings.Contains(waiting, who) != slices.Contains(w.waitingFor, who) {
			return fmt.Sprintf("message %q, by the history it waits for %v", s.Message, w.waitingFor)
		}
	}
	for _, condition := range s.Conditions {
		if condition.ObservedGeneration != h.generation() {
			return fmt.Sprintf("condition %+v at generation %d", condition, h.generation())
		}
	}
	return ""
}

func byTypeOf(s v1.Status) map[string]v1.Condition {
	conditions := make(map[string]v1.Condition, len(s.Conditions))
	for _, c := range s.Conditions {
		conditions[c.Type] = c
	}
	return conditions
}

// judgeTimes compares each status with the one that was stored before it.
func (h *past) judgeTimes(l *life, answer v1.Status) string {
	for _, s := range l.kept[h.seen:] {
		if fault := h.judgeTurns(s); fault != "" {
			return fault
		}
		h.before = s
	}
	h.seen = len(l.kept)
	if answer.LastUpdateTime.Before(h.updated) {
		return fmt.Sprintf("its last update went back from %v to %v", h.updated, answer.LastUpdateTime)
	}
	h.updated = answer.LastUpdateTime
	return h.judgeTurns(answer)
}

func (h *past) judgeTurns(s v1.Status) string {
	was := byTypeOf(h.before)
	for _, c := range s.Conditions {
		before, known := was[c.Type]
		stands := known && before.Status == c.Status
		switch {
		case c.LastTransitionTime.After(h.now):
			return fmt.Sprintf("%s turned at %v, that is to come", c.Type, c.LastTransitionTime)
		case stands && !c.LastTransitionTime.Equal(before.LastTransitionTime):
			return fmt.Sprintf("%s stands at %s, and its transition time moved from %v to %v", c.Type, c.Status, before.LastTransitionTime, c.LastTransitionTime)
		case known && !stands && !c.LastTransitionTime.After(before.LastTransitionTime):
			return fmt.Sprintf("%s became %s, and its transition time went from %v to %v", c.Type, c.Status, before.LastTransitionTime, c.LastTransitionTime)
		}
	}
	return ""
}

// sameWhatever calculates the status again from nothing, and from something that never was.
func sameWhatever(l *life, s v1.Status) string {
	f := l.facts()
	for _, f.Previous = range [][]v1.Condition{nil, {
		{Type: v1.ConditionReady, Status: v1.ConditionTrue, LastTransitionTime: minute(-9)},
		{Type: v1.ConditionAvailable, Status: v1.ConditionFalse, LastTransitionTime: minute(-8)},
	}} {
		again := l.play.aggregate(f).Status
		same := again.Phase == s.Phase && again.Reason == s.Reason && again.Message == s.Message &&
			again.ObservedGeneration == s.ObservedGeneration && again.LastUpdateTime.Equal(s.LastUpdateTime) && len(again.Conditions) == len(s.Conditions)
		for i := range again.Conditions {
			a, b := again.Conditions[i], s.Conditions[min(i, len(s.Conditions)-1)]
			same = same && a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message
		}
		if !same {
			return fmt.Sprintf("it is %+v, and calculated from others %+v", s, again)
		}
	}
	return ""
}
