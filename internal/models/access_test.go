package models

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

var (
	controller = Actor{Email: "controller@system.local", Controller: true}
	bound      = Actor{Email: "dns@system.local", Controller: true, ControllerName: "dns"}
	admin      = Actor{Email: "root@example.com", Admin: true}
	both       = Actor{Email: "developer@localhost", Admin: true, Controller: true}
)

// TestPermissions is the table of roles.
func TestPermissions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		who                                   string
		actor                                 Actor
		owner                                 string
		write, report, reportOthers, sees, bs bool // bs: may filter by bob's address
	}{
		{"a user", alice, alice.Email, true, false, false, false, false},
		{"a controller", controller, "", false, true, true, true, true},
		{"a controller bound to the name dns", bound, "", false, true, false, true, true},
		{"an admin", admin, "", true, false, false, false, true},
		{"both", both, "", true, true, true, true, true},
	} {
		t.Run(row.who, func(t *testing.T) {
			t.Parallel()
			a := row.actor
			got := []any{
				a.Owner(), a.SeesAll(), a.MayWrite() == nil, a.MayReport("dns") == nil, a.MayReport("net") == nil,
				a.SeesSecrets(), a.MayFilterByCreator("bob@example.com") == nil, a.MayFilterByCreator(strings.ToUpper(a.Email)) == nil,
			}
			want := []any{row.owner, row.owner == "", row.write, row.report, row.reportOthers, row.sees, row.bs, true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, err := range []error{a.MayWrite(), a.MayReport("net"), a.MayFilterByCreator("bob@example.com")} {
				if err != nil && CodeOf(err) != v1.CodeForbidden {
					t.Errorf("%v: want FORBIDDEN", err)
				}
			}
		})
	}
}

func TestParseEmail(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ why, text, want string }{
		{"plain", "alice@example.com", "alice@example.com"},
		{"case does not part people", "Alice@Example.COM", "alice@example.com"},
		{"a tag", "alice+x@example.com", "alice+x@example.com"},
		{"the longest", strings.Repeat("a", 242) + "@example.com", strings.Repeat("a", 242) + "@example.com"},
		{"too long", strings.Repeat("a", 243) + "@example.com", ""},
		{"none", "", ""},
		{"no domain", "alice", ""},
		{"a display name", "Alice <alice@example.com>", ""},
		{"two", "alice@example.com, bob@example.com", ""},
		{"white space around", " alice@example.com", ""},
		{"a comment", "alice@example.com (me)", ""},
		{"a quoted part", `"al ice"@example.com`, ""},
		{"a NUL", "alice\x00@example.com", ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			got, err := ParseEmail(row.text)
			if got != row.want || (err == nil) != (row.want != "") || err != nil && CodeOf(err) != v1.CodeInvalidEmail {
				t.Errorf("%q, %v; want %q", got, err, row.want)
			}
		})
	}
}

func TestListScope(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why    string
		actor  Actor
		q      ListQuery
		want   ListQuery
		code   v1.Code
		fields string
	}{
		{"a user sees the own ones", alice, ListQuery{}, ListQuery{Limit: 50, CreatedBy: alice.Email}, "", ""},
		{"and may say so", alice, ListQuery{Limit: 1, CreatedBy: "ALICE@example.com"}, ListQuery{Limit: 1, CreatedBy: alice.Email}, "", ""},
		{"and not ask for others'", alice, ListQuery{CreatedBy: "bob@example.com"}, ListQuery{}, v1.CodeForbidden, "created_by"},
		{"an admin sees all", admin, ListQuery{Limit: 100}, ListQuery{Limit: 100}, "", ""},
		{"a controller may ask for one's", controller, ListQuery{CreatedBy: "Bob@example.com"}, ListQuery{Limit: 50, CreatedBy: "bob@example.com"}, "", ""},
		{"platforms have no case", admin, ListQuery{Platform: "GCP", Phase: v1.PhaseReady, Name: "prod"}, ListQuery{Limit: 50, Platform: "gcp", Phase: v1.PhaseReady, Name: "prod"}, "", ""},
		{"101", admin, ListQuery{Limit: 101}, ListQuery{}, v1.CodeInvalidQuery, "limit"},
		{"all faults at once", admin, ListQuery{Limit: -1, Offset: -1, OrderBy: "id", Phase: "ready", Platform: "?", Name: "?"}, ListQuery{}, v1.CodeInvalidQuery, "limit,offset,order_by,status,platform,name"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			got, err := row.q.Scoped(row.actor)
			if row.code == "" {
				row.want.OrderBy = NewestFirst
				if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
					t.Errorf("%v, -want +got:\n%s", err, diff)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != row.code {
				t.Fatalf("%v, want %s", err, row.code)
			}
			var fields []string
			for _, f := range e.Faults {
				fields = append(fields, f.Field)
			}
			if got := strings.Join(fields, ","); got != row.fields {
				t.Errorf("faults at %s, want %s", got, row.fields)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	by := Actor{Email: alice.Email, RequestID: "req-1", Traceparent: "00-4bf9-00f0-01"}
	attention := usual.Lane(Attention{Deleting: true}, start)
	for why, row := range map[string]struct{ got, want NewEvent }{
		"a user's change": {UserEvent("e1", v1.ClusterUpdated, v1.ReasonSpecChanged, by), NewEvent{
			ID: "e1", Type: "cluster.updated", Reason: "spec_changed", RequestID: "req-1", Traceparent: "00-4bf9-00f0-01",
			Metadata: v1.EventMetadata{TriggeredBy: "user", UserEmail: alice.Email},
		}},
		"a wake-up by hand": {ManualWake("e2", KindCluster, by), NewEvent{
			ID: "e2", Type: "cluster.reconcile", Reason: "manual", RequestID: "req-1", Traceparent: "00-4bf9-00f0-01",
			Metadata: v1.EventMetadata{TriggeredBy: "manual", UserEmail: alice.Email},
		}},
		"the attention lane": {ScheduledWake("e3", KindCluster, attention, false), NewEvent{
			ID: "e3", Type: "cluster.reconcile", Reason: "attention", Metadata: v1.EventMetadata{TriggeredBy: "scheduler", Interval: "30s"},
		}},
		"the stable lane": {ScheduledWake("e4", KindCluster, usual.Lane(settled, minute(180)), false), NewEvent{
			ID: "e4", Type: "cluster.reconcile", Reason: "stable", Metadata: v1.EventMetadata{TriggeredBy: "scheduler", Interval: "5m"},
		}},
		"a report that moved something": {ScheduledWake("e5", KindCluster, attention, true), NewEvent{
			ID: "e5", Type: "cluster.reconcile", Reason: "reactive", Metadata: v1.EventMetadata{TriggeredBy: "reactive", Interval: "30s"},
		}},
	} {
		if diff := cmp.Diff(row.want, row.got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", why, diff)
		}
	}
	pool := QueuedEvent{Event: v1.Event{ClusterID: "c", NodePoolID: "p", Timestamp: time.Time{}}}
	if got := pool.OrderingKey(); got != "c" {
		t.Errorf("ordering key %s, want the cluster's id on every topic", got)
	}
}
