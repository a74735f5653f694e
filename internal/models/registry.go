package models

import (
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Registration is what a controller says of itself.
type Registration struct {
	// Platforms and Kinds are what it works on; empty for all.
	Platforms []string
	Kinds     []Kind
	// Finalizes says that a deletion waits for it.
	Finalizes bool
	// Required says that nothing it works on is Ready before it has reported.
	Required bool
}

// Concerns reports whether the controller works on resources of a kind and platform.
func (r Registration) Concerns(kind Kind, platform string) bool {
	return (len(r.Kinds) == 0 || slices.Contains(r.Kinds, kind)) && (len(r.Platforms) == 0 || slices.Contains(r.Platforms, platform))
}

// anyPlatform stands for every platform that is not named beside it.
const anyPlatform = "*"

// Required is since when a controller has been required, by kind and platform. What it is
// required for counts from the next generation of a resource on, so the time decides.
type Required map[Kind]map[string]time.Time

// since returns when the controller became required for a kind and platform, if it is.
func (q Required) since(kind Kind, platform string) (time.Time, bool) {
	at, ok := q[kind][platform]
	if !ok {
		at, ok = q[kind][anyPlatform]
	}
	return at, ok
}

// at reports whether the controller was required already when the generation of a resource began.
func (q Required) at(o Object) bool {
	since, ok := q.since(o.Kind, o.Platform)
	return ok && !since.After(o.GenerationStartedAt)
}

// require returns what a registration requires from now on. What was required before keeps its time.
func (q Required) require(r Registration, now time.Time) Required {
	next := Required{}
	if !r.Required {
		return next
	}
	for _, kind := range Kinds() {
		if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, kind) {
			continue
		}
		next[kind] = map[string]time.Time{}
		platforms := r.Platforms
		if len(platforms) == 0 {
			platforms = []string{anyPlatform}
			for known := range q[kind] {
				platforms = append(platforms, known)
			}
		}
		for _, platform := range platforms {
			since, ok := q.since(kind, platform)
			if !ok {
				since = now
			}
			next[kind][platform] = since
		}
	}
	return next
}

// Turn is when it changed, for a kind and platform, whether a controller is waited for.
type Turn struct {
	// CountedAt is when its reports last began or ceased to count; zero for never.
	CountedAt time.Time `json:"counted_at,omitzero"`
	// Released are the newest of the times in which it was required; the last one last.
	Released []Span `json:"released,omitempty"`
}

// Span is a time that is over.
type Span struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// maxSpans bounds what is kept of a controller that is required now and then.
const maxSpans = 16

// Turns are the turns of a controller, by kind and platform.
type Turns map[Kind]map[string]Turn

func (t Turns) of(kind Kind, platform string) Turn {
	turn, ok := t[kind][platform]
	if !ok {
		turn = t[kind][anyPlatform]
	}
	return turn
}

// releasedAt returns when a resource ceased to wait for a controller that was required when its
// generation began; zero for never.
func (t Turn) releasedAt(o Object) time.Time {
	for _, s := range t.Released {
		if !s.From.After(o.GenerationStartedAt) && s.Until.After(o.GenerationStartedAt) {
			return s.Until
		}
	}
	return time.Time{}
}

// Controller is an entry of the registry. One that is known by its reports alone has not
// registered, and is never required.
type Controller struct {
	Name         string
	Registered   bool
	Registration Registration
	Required     Required
	Turns        Turns
	// RetiredAt is when it was retired; nil while its reports count.
	RetiredAt *time.Time
	// LetGoAt is when it was retired last, whether or not it has come back; nil for never.
	LetGoAt *time.Time
	// HeardAt is when it registered last; nil for never. Its reports have times of their own.
	HeardAt *time.Time
}

// counts reports whether the controller's reports on resources of a kind and platform count. What names no
// platform, such as a node pool that is where its cluster is, is nobody else's: who reports on it counts.
func (c Controller) counts(kind Kind, platform string) bool {
	says := c.Registration
	if platform == "" {
		says.Platforms = nil
	}
	return c.RetiredAt == nil && (!c.Registered || says.Concerns(kind, platform))
}

// Register returns the entry after a registration at a time of the database's, and whether that
// changes who is waited for.
func (c Controller) Register(r Registration, now time.Time) (next Controller, moved bool) {
	next = c
	next.Registered, next.Registration, next.RetiredAt, next.HeardAt = true, r, nil, &now
	next.Required = c.Required.require(r, now)
	next.Turns, moved = c.turn(next, now)
	return next, moved
}

// Retire returns the entry after its retirement.
func (c Controller) Retire(now time.Time) Controller {
	next := c
	next.Required, next.RetiredAt, next.LetGoAt = nil, &now, &now
	next.Turns, _ = c.turn(next, now)
	return next
}

// turn returns the turns of an entry that becomes another, and whether it takes one.
func (c Controller) turn(next Controller, now time.Time) (turns Turns, moved bool) {
	turns = Turns{}
	for _, kind := range Kinds() {
		turns[kind] = map[string]Turn{}
		for _, platform := range c.platforms(next, kind) {
			t := c.Turns.of(kind, platform)
			since, was := c.Required.since(kind, platform)
			_, is := next.Required.since(kind, platform)
			counts := c.counts(kind, platform)
			if counts != next.counts(kind, platform) {
				t.CountedAt = now
			}
			if was && !is {
				t.Released = append(slices.Clone(t.Released), Span{since, now})
				t.Released = t.Released[max(0, len(t.Released)-maxSpans):]
			}
			moved = moved || was != is || counts != next.counts(kind, platform)
			turns[kind][platform] = t
		}
	}
	return turns, moved
}

// platforms are those that an entry tells from others, before or after it becomes the next, none
// at all, and all others.
func (c Controller) platforms(next Controller, kind Kind) []string {
	list := slices.Concat([]string{anyPlatform, ""}, c.Registration.Platforms, next.Registration.Platforms,
		slices.Collect(maps.Keys(c.Required[kind])), slices.Collect(maps.Keys(c.Turns[kind])))
	slices.Sort(list)
	return slices.Compact(list)
}

// Registry is all controllers that are known, as of a version of it.
type Registry struct {
	Version     int64
	Controllers map[string]Controller
}

// Expected returns who must have reported for a resource to be Ready: everybody who has, but for
// the retired and those registered for other kinds and platforms only; and who was required when
// its generation began. dropped is when a report on it was last dropped; zero for never.
func (g Registry) Expected(o Object, reports []Report, dropped time.Time) Expected {
	e := Expected{ChangedAt: dropped}
	first := make(map[string]time.Time, len(reports))
	for _, r := range reports {
		first[r.ControllerName] = r.FirstAt
		c := g.Controllers[r.ControllerName]
		turned := c.Turns.of(o.Kind, o.Platform).CountedAt
		switch {
		case c.counts(o.Kind, o.Platform):
			e.Names = append(e.Names, r.ControllerName)
			e.ChangedAt = later(e.ChangedAt, later(r.FirstAt, turned))
		case turned.After(r.FirstAt):
			e.ChangedAt = later(e.ChangedAt, turned)
		}
	}
	for name, c := range g.Controllers {
		at, reported := first[name]
		if !reported && c.Required.at(o) {
			e.Names = append(e.Names, name)
		}
		// Whoever has reported before goes on to be waited for.
		if released := c.Turns.of(o.Kind, o.Platform).releasedAt(o); !reported || released.Before(at) {
			e.ChangedAt = later(e.ChangedAt, released)
		}
	}
	slices.Sort(e.Names)
	return e
}

// Holding returns those of the holders that a deletion still waits for. Whoever is retired lets go,
// and does not hold it again by coming back. since is when it began.
func (g Registry) Holding(holders []string, since time.Time) []string {
	var waited []string
	for _, name := range holders {
		c := g.Controllers[name]
		if c.RetiredAt == nil && (c.LetGoAt == nil || c.LetGoAt.Before(since)) {
			waited = append(waited, name)
		}
	}
	return waited
}

// maxPlatforms bounds a registration.
const maxPlatforms = 100

// NewRegistration returns the registration that a request makes, in its canonical form, or
// INVALID_FIELD with every fault.
func NewRegistration(in v1.RegisterController) (Registration, error) {
	r := Registration{Finalizes: in.Finalizes, Required: in.Required}
	var faults []Fault
	if len(in.Platforms) > maxPlatforms {
		faults = append(faults, Fault{Field: "platforms", Reason: "must be at most 100"})
	}
	for i, p := range in.Platforms {
		if !platformType.MatchString(p) {
			faults = append(faults, Fault{Field: indexed("platforms", i, ""), Reason: "must be 1 to 63 letters, digits and '-'", Value: p})
		}
		r.Platforms = append(r.Platforms, strings.ToLower(p))
	}
	for i, k := range in.Kinds {
		if !slices.Contains(Kinds(), Kind(k)) {
			faults = append(faults, Fault{Field: indexed("kinds", i, ""), Reason: "is not a kind of resource", Value: k, Allowed: kindNames()})
		}
		r.Kinds = append(r.Kinds, Kind(k))
	}
	slices.Sort(r.Platforms)
	slices.Sort(r.Kinds)
	r.Platforms, r.Kinds = slices.Compact(r.Platforms), slices.Compact(r.Kinds)
	return r, Invalid(v1.CodeInvalidField, faults...)
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return names
}
