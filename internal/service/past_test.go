package service_test

import (
	"slices"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// past is what was done in an installation, in its order, and nothing else. What must be true
// follows from it, by no rule of the service's.
type past struct {
	step    int
	entries []entry // of the registry
	things  [2]*thing
}

// The two resources of a life: a cluster, and a node pool in it.
const (
	aCluster = iota
	aPool
)

// entry is a registration, or a retirement.
type entry struct {
	step    int
	who     string
	says    v1.RegisterController
	retired bool
}

// thing is what was done with a resource.
type thing struct {
	kind     models.Kind
	id       string
	platform string
	begun    []int // at which steps its generations began
	taken    []taken
	drops    []taken
	deleted  bool
	held     []string // who held the deletion when it began
	forced   bool
	gone     bool
	// answer is the answer to its deletion.
	answer v1.Deletion
}

// taken is a report that was applied, or the dropping of one.
type taken struct {
	step     int
	who      string
	observed int64
	said     word
}

var lifeNames = []string{"dns", "net"}

func (g *thing) generation() int64 { return int64(len(g.begun)) }
func (g *thing) lastBegun() int    { return g.begun[len(g.begun)-1] }

// stored returns the latest report of a controller, unless that was dropped since.
func (g *thing) stored(who string) (last taken, ok bool) {
	for _, r := range g.taken {
		if r.who == who {
			last, ok = r, true
		}
	}
	for _, d := range g.drops {
		if d.who == who && d.step > last.step {
			return taken{}, false
		}
	}
	return last, ok
}

// entryAt returns what the registry said of a controller after a step.
func (h *past) entryAt(who string, step int) (last entry, ok bool) {
	for _, e := range h.entries {
		if e.who == who && e.step <= step {
			last, ok = e, true
		}
	}
	return last, ok
}

func (h *past) retired(who string) bool {
	e, _ := h.entryAt(who, h.step)
	return e.retired
}

func (g *thing) concerned(e entry) bool {
	return !e.retired && (len(e.says.Kinds) == 0 || slices.Contains(e.says.Kinds, string(g.kind))) &&
		(len(e.says.Platforms) == 0 || slices.Contains(e.says.Platforms, g.platform))
}

// expected is who must have reported: who has, unless it is retired or registered for others; and
// who was required when the generation began, and ever since.
func (h *past) expected(g *thing) (names []string) {
	for _, who := range lifeNames {
		e, entered := h.entryAt(who, h.step)
		counts := !entered || g.concerned(e)
		if _, reported := g.stored(who); !reported {
			e, entered = h.entryAt(who, g.lastBegun())
			counts = entered && g.concerned(e) && e.says.Required
			for _, e := range h.entries {
				counts = counts && (e.who != who || e.step < g.lastBegun() || g.concerned(e) && e.says.Required)
			}
		}
		if counts {
			names = append(names, who)
		}
	}
	return names
}

// begins is what a deletion that begins now fixes.
func (h *past) begins(g *thing) {
	g.deleted = true
	g.begun = append(g.begun, h.step)
	for _, who := range lifeNames {
		e, entered := h.entryAt(who, h.step)
		r, _ := g.stored(who)
		if !h.retired(who) && (entered && g.concerned(e) && e.says.Finalizes || r.said.finalized != "") {
			g.held = append(g.held, who)
		}
	}
}

// holders is who holds a deletion still.
func (h *past) holders(g *thing) (names []string) {
	for _, who := range g.held {
		letGo := g.forced
		for _, r := range g.taken {
			letGo = letGo || r.who == who && r.step > g.lastBegun() && r.observed == g.generation() && r.said.finalized == v1.ConditionTrue
		}
		for _, e := range h.entries {
			letGo = letGo || e.who == who && e.retired && e.step > g.lastBegun()
		}
		if !letGo {
			names = append(names, who)
		}
	}
	return names
}

// mayBeGone reports whether nobody is waited for.
func (h *past) mayBeGone(g *thing) bool {
	pools := g.kind == models.KindCluster && h.things[aPool] != nil && !h.things[aPool].gone
	return g.deleted && len(h.holders(g)) == 0 && !pools
}

// wanted is what the status of a resource must say.
type wanted struct {
	Phase      v1.Phase
	Reason     string
	Observed   int64
	Available  v1.ConditionStatus
	Degraded   bool
	WaitingFor []string
}

func (h *past) status(g *thing) (w wanted) {
	expected := h.expected(g)
	reported, ready, down, failed, erring := 0, 0, 0, false, false
	for _, who := range expected {
		r, ok := g.stored(who)
		if !ok {
			w.WaitingFor = append(w.WaitingFor, who)
			continue
		}
		if reported++; reported == 1 || r.observed < w.Observed {
			w.Observed = r.observed
		}
		current := r.observed == g.generation()
		w.Degraded = w.Degraded || r.said.errorType != ""
		failed = failed || current && r.said.errorType == v1.ErrorFatal
		erring = erring || current && r.said.errorType != ""
		if !r.said.available {
			down++
		}
		if current && r.said.available && r.said.errorType == "" {
			ready++
		} else {
			w.WaitingFor = append(w.WaitingFor, who)
		}
	}
	w.Available = v1.ConditionTrue
	if down > 0 {
		w.Available = v1.ConditionFalse
	} else if reported == 0 || reported < len(expected) {
		w.Available = v1.ConditionUnknown
	}
	if reported < len(expected) {
		w.Observed = 0
	}
	switch {
	case g.deleted:
		w.Phase, w.Reason, w.WaitingFor = v1.PhaseDeleting, models.ReasonWaitingForFinalizers, h.holders(g)
		if g.kind == models.KindCluster && h.things[aPool] != nil && !h.things[aPool].gone {
			w.WaitingFor = append([]string{"its node pools"}, w.WaitingFor...)
		}
	case reported == 0:
		w.Phase, w.Reason = v1.PhasePending, models.ReasonNoControllers
	case failed:
		w.Phase, w.Reason = v1.PhaseFailed, models.ReasonControllerFailed
	case ready == len(expected):
		w.Phase, w.Reason = v1.PhaseReady, models.ReasonAllControllersReady
	case erring:
		w.Phase, w.Reason = v1.PhaseProgressing, models.ReasonControllersWithErrors
	case ready > 0:
		w.Phase, w.Reason = v1.PhaseProgressing, models.ReasonPartialProgress
	default:
		w.Phase, w.Reason = v1.PhaseProgressing, models.ReasonControllersProvisioning
	}
	return w
}

// report is what must become of a report: its reason for not being applied, "" if it is; and
// whether it says anything new.
func (h *past) report(g *thing, r taken) (refused string, fresh bool) {
	last, known := g.stored(r.who)
	switch {
	case g.gone && g.kind == models.KindNodePool:
		return v1.NotAppliedNodePoolDeleted, false
	case g.gone:
		return v1.NotAppliedDeleted, false
	case h.retired(r.who):
		return v1.NotAppliedRetired, false
	case known && last.observed > r.observed:
		return v1.NotAppliedStale, false
	}
	return "", !known || last.observed != r.observed || last.said.text() != r.said.text()
}
