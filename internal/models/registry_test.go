package models

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// on returns a registration for platforms, written with commas; "" for all.
func on(platforms string) Registration {
	if platforms == "" {
		return Registration{}
	}
	return Registration{Platforms: strings.Split(platforms, ",")}
}

func (r Registration) of(kinds ...Kind) Registration { r.Kinds = kinds; return r }
func (r Registration) required() Registration        { r.Required = true; return r }
func (r Registration) finalizing() Registration      { r.Finalizes = true; return r }

// TestARegistrationConcerns the kinds and platforms that it names, all when it names none.
func TestARegistrationConcerns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why      string
		says     Registration
		kind     Kind
		platform string
		want     bool
	}{
		{"nothing named: everything", on(""), KindNodePool, "aws", true},
		{"nothing named: a resource without a platform too", on(""), KindCluster, "", true},
		{"its platform", on("aws,gcp"), KindCluster, "gcp", true},
		{"another platform", on("aws,gcp"), KindCluster, "azure", false},
		{"no platform is none of those named", on("gcp"), KindCluster, "", false},
		{"no part of a name is the name", on("gcp"), KindCluster, "gc", false},
		{"its kind", on("").of(KindNodePool), KindNodePool, "gcp", true},
		{"another kind", on("").of(KindNodePool), KindCluster, "gcp", false},
		{"its kind on another platform", on("aws").of(KindNodePool), KindNodePool, "gcp", false},
		{"its platform with another kind", on("aws").of(KindNodePool), KindCluster, "aws", false},
	} {
		if got := row.says.Concerns(row.kind, row.platform); got != row.want {
			t.Errorf("%s: %v", row.why, got)
		}
	}
}

// TestRequiredKeepsItsTimes: what was required before stays required since then, whatever else is
// required beside it.
func TestRequiredKeepsItsTimes(t *testing.T) {
	t.Parallel()
	all := map[string]time.Time{anyPlatform: minute(0)}
	for _, row := range []struct {
		why    string
		before Required
		says   Registration
		want   Required
	}{
		{"not required: nothing", Required{KindCluster: all}, on(""), Required{}},
		{"for the first time: now, for each kind", nil, on("").required(), Required{
			KindCluster: {anyPlatform: minute(9)}, KindNodePool: {anyPlatform: minute(9)},
		}},
		{"of the kinds it names only", nil, on("gcp").of(KindCluster).required(), Required{KindCluster: {"gcp": minute(9)}}},
		{"the same again: as it was", Required{KindCluster: {"gcp": minute(1)}}, on("gcp").of(KindCluster).required(), Required{KindCluster: {"gcp": minute(1)}}},
		{"a platform more: that one from now on", Required{KindCluster: {"gcp": minute(1)}}, on("aws,gcp").of(KindCluster).required(), Required{
			KindCluster: {"gcp": minute(1), "aws": minute(9)},
		}},
		{"all platforms: the known one since then", Required{KindCluster: {"gcp": minute(1)}}, on("").of(KindCluster).required(), Required{
			KindCluster: {"gcp": minute(1), anyPlatform: minute(9)},
		}},
		{"all but one: that one since all were", Required{KindCluster: all}, on("gcp").of(KindCluster).required(), Required{KindCluster: {"gcp": minute(0)}}},
		{"another kind: from now on", Required{KindCluster: all}, on("").of(KindNodePool).required(), Required{KindNodePool: {anyPlatform: minute(9)}}},
		{"a platform that goes leaves the other's time", Required{KindCluster: {"gcp": minute(1), "aws": minute(2)}}, on("aws").of(KindCluster).required(), Required{
			KindCluster: {"aws": minute(2)},
		}},
	} {
		before := fmt.Sprint(row.before)
		if diff := cmp.Diff(row.want, row.before.require(row.says, minute(9))); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.why, diff)
		}
		if fmt.Sprint(row.before) != before {
			t.Errorf("%s: what is stored was written to: %v, was %s", row.why, row.before, before)
		}
	}
}

// TestRequiredCountsFromTheNextGeneration of a resource on.
func TestRequiredCountsFromTheNextGeneration(t *testing.T) {
	t.Parallel()
	q := Required{KindCluster: {"gcp": minute(5)}, KindNodePool: {anyPlatform: minute(7), "aws": minute(3)}}
	for _, row := range []struct {
		why      string
		kind     Kind
		platform string
		began    int
		want     bool
	}{
		{"a generation before", KindCluster, "gcp", 4, false},
		{"a generation after", KindCluster, "gcp", 6, true},
		{"a generation of the same moment", KindCluster, "gcp", 5, true},
		{"another platform", KindCluster, "aws", 6, false},
		{"no platform", KindCluster, "", 6, false},
		{"any platform", KindNodePool, "azure", 8, true},
		{"any platform, none given", KindNodePool, "", 8, true},
		{"any platform, a generation before", KindNodePool, "azure", 6, false},
		{"a platform named beside any counts by its own time", KindNodePool, "aws", 4, true},
	} {
		if got := q.at(Object{Kind: row.kind, Platform: row.platform, GenerationStartedAt: minute(row.began)}); got != row.want {
			t.Errorf("%s: %v", row.why, got)
		}
	}
	if Required(nil).at(Object{Kind: KindCluster}) {
		t.Error("nothing required, and it counts")
	}
}

// registered is an entry that has registered at a minute, and nothing since.
func registered(name string, at int, says Registration) Controller {
	c, _ := Controller{Name: name}.Register(says, minute(at))
	return c
}

// TestWhatMovesTheRegistry is who is waited for, and nothing else.
func TestWhatMovesTheRegistry(t *testing.T) {
	t.Parallel()
	known := Controller{Name: "dns"}
	gcp := registered("dns", 1, on("gcp"))
	for _, row := range []struct {
		why   string
		entry Controller
		says  Registration
		moved bool
	}{
		{"a new one that asks for nothing changes nothing", known, on(""), false},
		{"a new one that finalizes changes no status", known, on("").finalizing(), false},
		{"a new one that is required", known, on("").required(), true},
		{"a new one of one platform: its reports count on others no more", known, on("gcp"), true},
		{"a new one of one kind", known, on("").of(KindNodePool), true},
		{"the same again", gcp, on("gcp"), false},
		{"the same again, required", registered("dns", 1, on("gcp").required()), on("gcp").required(), false},
		{"finalizes since", gcp, on("gcp").finalizing(), false},
		{"required since", gcp, on("gcp").required(), true},
		{"required no more", registered("dns", 1, on("gcp").required()), on("gcp"), true},
		{"other platforms", gcp, on("aws"), true},
		{"more platforms", gcp, on("aws,gcp"), true},
		{"all platforms", gcp, on(""), true},
		{"one kind only", gcp, on("gcp").of(KindCluster), true},
		{"back from retirement, and nothing else", gcp.Retire(minute(2)), on("gcp"), true},
	} {
		next, moved := row.entry.Register(row.says, minute(9))
		if moved != row.moved {
			t.Errorf("%s: moved %v", row.why, moved)
		}
		if !next.Registered || next.RetiredAt != nil || !cmp.Equal(next.Registration, row.says, cmpopts.EquateEmpty()) {
			t.Errorf("%s: %+v", row.why, next)
		}
	}
}

// TestRetirement ends what was required, and a new registration begins anew.
func TestRetirement(t *testing.T) {
	t.Parallel()
	c := registered("dns", 1, on("gcp").required()).Retire(minute(2))
	if c.RetiredAt == nil || !c.RetiredAt.Equal(minute(2)) || len(c.Required) > 0 {
		t.Errorf("retired: %+v", c)
	}
	if old := (Object{Kind: KindCluster, Platform: "gcp", GenerationStartedAt: minute(1)}); c.Required.at(old) {
		t.Error("it is still required where it was")
	}
	back, moved := c.Register(on("gcp").required(), minute(3))
	since, _ := back.Required.since(KindCluster, "gcp")
	if !moved || !since.Equal(minute(3)) || back.RetiredAt != nil {
		t.Errorf("back: %+v, moved %v; required since %v, want minute 3", back, moved, since)
	}
}

func registryOf(list ...Controller) Registry {
	g := Registry{Version: 1, Controllers: map[string]Controller{}}
	for _, c := range list {
		g.Controllers[c.Name] = c
	}
	return g
}

// TestExpected is who must have reported: on a gcp cluster whose generation began at minute 5.
func TestExpected(t *testing.T) {
	t.Parallel()
	object := Object{Kind: KindCluster, Platform: "gcp", Generation: 2, GenerationStartedAt: minute(5)}
	dns := []Report{{ControllerName: "dns", FirstAt: minute(6)}}
	for _, row := range []struct {
		why     string
		list    []Controller
		reports []Report
		dropped time.Time
		names   string
		changed time.Time
	}{
		{"nobody knows anybody", nil, nil, time.Time{}, "", time.Time{}},
		{"whoever has reported, known or not", nil, dns, time.Time{}, "dns", minute(6)},
		{"whoever has reported is known by that alone", []Controller{{Name: "dns"}}, dns, time.Time{}, "dns", minute(6)},
		{"registered and silent: not required, not waited for", []Controller{registered("net", 1, on(""))}, dns, time.Time{}, "dns", minute(6)},
		{"required and silent", []Controller{registered("net", 1, on("gcp").required())}, dns, time.Time{}, "dns net", minute(6)},
		{"required since the generation began", []Controller{registered("net", 8, on("").required())}, dns, time.Time{}, "dns", minute(6)},
		{"required for others", []Controller{registered("net", 1, on("aws").required())}, dns, time.Time{}, "dns", minute(6)},
		{"required for the other kind", []Controller{registered("net", 1, on("").of(KindNodePool).required())}, dns, time.Time{}, "dns", minute(6)},
		{"reported, and registered for other platforms only", []Controller{registered("dns", 7, on("aws"))}, dns, time.Time{}, "", minute(7)},
		{"reported, and registered for the other kind only", []Controller{registered("dns", 7, on("").of(KindNodePool))}, dns, time.Time{}, "", minute(7)},
		{"required late, and reported since: by the report", []Controller{registered("dns", 8, on("").required())}, dns, time.Time{}, "dns", minute(6)},
		{"retired", []Controller{registered("dns", 1, on("").required()).Retire(minute(9))}, dns, time.Time{}, "", minute(9)},
		{"retired without having registered", []Controller{Controller{Name: "dns"}.Retire(minute(9))}, dns, time.Time{}, "", minute(9)},
		{"required and silent, and retired", []Controller{registered("net", 1, on("").required()).Retire(minute(9))}, dns, time.Time{}, "dns", minute(9)},
		{"never waited for, and retired", []Controller{registered("net", 7, on("").required()).Retire(minute(9))}, dns, time.Time{}, "dns", minute(6)},
		{"a report was dropped since", nil, dns, minute(8), "dns", minute(8)},
		{"a report was dropped before", nil, dns, minute(2), "dns", minute(6)},
	} {
		g := registryOf(row.list...)
		e := g.Expected(object, row.reports, row.dropped)
		if got := strings.Join(e.Names, " "); got != row.names {
			t.Errorf("%s: expected %q, want %q", row.why, got, row.names)
		}
		if !e.ChangedAt.Equal(row.changed) {
			t.Errorf("%s: changed at %v, want %v", row.why, e.ChangedAt, row.changed)
		}
	}
}

// TestHolding lets the retired go for good, and nobody else.
func TestHolding(t *testing.T) {
	t.Parallel()
	back, _ := registered("back", 1, on("").finalizing()).Retire(minute(5)).Register(on("").finalizing(), minute(6))
	g := registryOf(Controller{Name: "dns"}, registered("infra", 1, on("aws")), registered("net", 1, on("").finalizing()).Retire(minute(5)), back)
	for _, row := range []struct {
		why, holders string
		since        int
		want         string
	}{
		{"none", "", 3, ""},
		{"the retired lets go", "net", 3, ""},
		{"who says since that it works elsewhere holds on: there is something of it", "dns infra", 3, "dns infra"},
		{"one that nobody knows holds on", "dns ghost net", 3, "dns ghost"},
		{"who was retired during the deletion and is back has let go", "back dns", 3, "dns"},
		{"who was back before the deletion holds it", "back dns", 7, "back dns"},
	} {
		if got := strings.Join(g.Holding(strings.Fields(row.holders), minute(row.since)), " "); got != row.want {
			t.Errorf("%s: %q, want %q", row.why, got, row.want)
		}
	}
}

// TestTheCanonicalFormOfARegistration: lower case, in order, each once, so that the same
// registration is the same however it is written.
func TestTheCanonicalFormOfARegistration(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why  string
		in   v1.RegisterController
		want Registration
	}{
		{"nothing said: everything", v1.RegisterController{}, Registration{}},
		{"empty lists are none", v1.RegisterController{Platforms: []string{}, Kinds: []string{}}, Registration{}},
		{
			"in order, in lower case, each once",
			v1.RegisterController{Platforms: []string{"GCP", "aws", "gcp", "Aws"}, Kinds: []string{"nodepool", "cluster", "nodepool"}},
			on("aws,gcp").of(KindCluster, KindNodePool),
		},
		{"its flags", v1.RegisterController{Required: true, Finalizes: true}, on("").required().finalizing()},
	} {
		got, err := NewRegistration(row.in)
		if err != nil || !cmp.Equal(row.want, got, cmpopts.EquateEmpty()) {
			t.Errorf("%s: %+v, %v", row.why, got, err)
		}
	}
}

// TestFaultsOfARegistration are named all at once, each with its place.
func TestFaultsOfARegistration(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why  string
		in   v1.RegisterController
		want string
	}{
		{"not a platform's name", v1.RegisterController{Platforms: []string{"gcp", "a b", ""}}, "platforms[1] platforms[2]"},
		{"any is said with an empty list", v1.RegisterController{Platforms: []string{"*"}}, "platforms[0]"},
		{"64 characters", v1.RegisterController{Platforms: []string{strings.Repeat("a", 64)}}, "platforms[0]"},
		{"not a kind", v1.RegisterController{Kinds: []string{"cluster", "Cluster", "pod"}}, "kinds[1] kinds[2]"},
		{"all at once", v1.RegisterController{Platforms: []string{"!"}, Kinds: []string{"!"}}, "platforms[0] kinds[0]"},
		{"101 platforms", v1.RegisterController{Platforms: slices.Repeat([]string{"gcp"}, 101)}, "platforms"},
		{"100 are taken", v1.RegisterController{Platforms: slices.Repeat([]string{"gcp"}, 100)}, ""},
	} {
		_, err := NewRegistration(row.in)
		var fields []string
		if e, ok := errors.AsType[*Error](err); ok {
			if e.Code != v1.CodeInvalidField {
				t.Errorf("%s: %s", row.why, e.Code)
			}
			for _, f := range e.Faults {
				fields = append(fields, f.Field)
			}
		}
		if got := strings.Join(fields, " "); got != row.want || (err == nil) != (row.want == "") {
			t.Errorf("%s: faults at %q, want %q (%v)", row.why, got, row.want, err)
		}
	}
	_, err := NewRegistration(v1.RegisterController{Kinds: []string{"pod"}})
	e, _ := errors.AsType[*Error](err)
	if diff := cmp.Diff([]string{"cluster", "nodepool"}, e.Faults[0].Allowed); diff != "" {
		t.Errorf("allowed: %s", diff)
	}
}

// TestTheRegistryIsNotWrittenTo by what is read from it: it is shared by all who calculate.
func TestTheRegistryIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	g := registryOf(registered("dns", 1, on("gcp").required()), registered("net", 1, on("").required()))
	before := maps.Clone(g.Controllers)
	g.Expected(Object{Kind: KindCluster, Platform: "gcp", GenerationStartedAt: minute(5)}, nil, time.Time{})
	for name, c := range g.Controllers {
		c.Register(on("aws").required(), minute(6))
		c.Retire(minute(7))
		if !cmp.Equal(before[name], g.Controllers[name]) {
			t.Errorf("%s: %s", name, cmp.Diff(before[name], g.Controllers[name]))
		}
	}
}
