package models

import (
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

// Controller is an entry of the registry. One that is known by its reports alone has not
// registered, and is never required.
type Controller struct {
	Name         string
	Registered   bool
	Registration Registration
	Required     Required
	// Released is what it was required for until ChangedAt.
	Released Required
	// ChangedAt is when last anything changed by which it is waited for; zero for never.
	ChangedAt time.Time
	// RetiredAt is when it was retired; nil while its reports count.
	RetiredAt *time.Time
}

// Register returns the entry after a registration at a time of the database's, and whether that
// changes who is waited for.
func (c Controller) Register(r Registration, now time.Time) (next Controller, moved bool) {
	next = c
	next.Registered, next.Registration, next.RetiredAt = true, r, nil
	before := c.Required
	if c.RetiredAt != nil {
		before = nil
	}
	next.Required = before.require(r, now)
	moved = !c.Registered || c.RetiredAt != nil || r.Required != c.Registration.Required ||
		!slices.Equal(r.Platforms, c.Registration.Platforms) || !slices.Equal(r.Kinds, c.Registration.Kinds)
	if moved {
		next.Released, next.ChangedAt = c.Required, now
	}
	return next, moved
}

// Retire returns the entry after its retirement.
func (c Controller) Retire(now time.Time) Controller {
	c.Released, c.Required = c.Required, nil
	c.ChangedAt, c.RetiredAt = now, &now
	return c
}

// Registry is all controllers that are known, as of a version of it.
type Registry struct {
	Version     int64
	Controllers map[string]Controller
}

// counts reports whether the reports of a controller count on a resource.
func (g Registry) counts(name string, o Object) bool {
	c, known := g.Controllers[name]
	return !known || c.RetiredAt == nil && (!c.Registered || c.Registration.Concerns(o.Kind, o.Platform))
}

// Expected returns who must have reported for a resource to be Ready: everybody who has, but for
// the retired and those registered for other kinds and platforms only; and who was required when
// its generation began. dropped is when a report on it was last dropped; zero for never.
func (g Registry) Expected(o Object, reports []Report, dropped time.Time) Expected {
	e := Expected{ChangedAt: dropped}
	reported := make(map[string]bool, len(reports))
	for _, r := range reports {
		reported[r.ControllerName] = true
		e.ChangedAt = later(later(e.ChangedAt, r.FirstAt), g.Controllers[r.ControllerName].ChangedAt)
		if g.counts(r.ControllerName, o) {
			e.Names = append(e.Names, r.ControllerName)
		}
	}
	for name, c := range g.Controllers {
		switch {
		case reported[name]:
		case c.Required.at(o):
			e.Names = append(e.Names, name)
		case c.Released.at(o):
			e.ChangedAt = later(e.ChangedAt, c.ChangedAt)
		}
	}
	slices.Sort(e.Names)
	return e
}

// Holding returns those of the holders that a deletion still waits for: the retired let go.
func (g Registry) Holding(holders []string) []string {
	var waited []string
	for _, name := range holders {
		if g.Controllers[name].RetiredAt == nil {
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
