package service_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// baseReport is what the next reports are compared with.
func baseReport() v1.StatusReport {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return v1.StatusReport{
		ControllerName: "dns",
		Metadata:       v1.Object(`{"ip":"10.0.0.1","n":1}`),
		Conditions: []v1.ReportedCondition{
			{Type: "Available", Status: v1.ConditionFalse, Reason: "Waiting", Message: "for a", LastTransitionTime: &at},
			{Type: "Zone", Status: v1.ConditionTrue, Reason: "Made"},
		},
		LastError: &v1.ReportError{ErrorType: v1.ErrorTransient, ErrorCode: "E1", Message: "m", Details: json.RawMessage(`{"a":1,"b":2}`), Timestamp: &at},
	}
}

// TestNextReport sends a second report to a settled cluster and looks at all that it leaves.
func TestNextReport(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		const (
			equal  = "equal"  // nothing is written
			silent = "silent" // stored, and wakes nobody
			moves  = "moves"  // stored, and wakes
			counts = "counts" // moves, and the status depends on it
		)
		later := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		for i, row := range []struct {
			why    string
			change func(*v1.StatusReport)
			want   string
		}{
			{"the same again", func(*v1.StatusReport) {}, equal},
			{"the same generation by its number", func(r *v1.StatusReport) { r.ObservedGeneration = 1 }, equal},
			{"the controller's own times do not count", func(r *v1.StatusReport) {
				r.Conditions[0].LastTransitionTime, r.LastError.Timestamp = &later, &later
			}, equal},
			{"conditions have no order", func(r *v1.StatusReport) {
				r.Conditions[0], r.Conditions[1] = r.Conditions[1], r.Conditions[0]
			}, equal},
			{"metadata is a JSON value", func(r *v1.StatusReport) { r.Metadata = v1.Object(`{"n": 1.0, "ip": "10.0.0.1"}`) }, equal},
			{"details are a JSON value", func(r *v1.StatusReport) { r.LastError.Details = json.RawMessage(`{"b": 2, "a": 1}`) }, equal},
			{"a message", func(r *v1.StatusReport) { r.Conditions[0].Message = "for a still" }, silent},
			{"an error's message", func(r *v1.StatusReport) { r.LastError.Message = "again" }, silent},
			{"an error's details", func(r *v1.StatusReport) { r.LastError.Details = json.RawMessage(`{"a":2}`) }, silent},
			{"a status", func(r *v1.StatusReport) { r.Conditions[0].Status = v1.ConditionTrue }, counts},
			{"the status of a condition that is not looked at", func(r *v1.StatusReport) { r.Conditions[1].Status = v1.ConditionFalse }, moves},
			{"a reason", func(r *v1.StatusReport) { r.Conditions[1].Reason = "Kept" }, moves},
			{"a new condition", func(r *v1.StatusReport) {
				r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: "Net", Status: v1.ConditionUnknown})
			}, moves},
			{"a condition less", func(r *v1.StatusReport) { r.Conditions = r.Conditions[:1] }, moves},
			{"an error's type", func(r *v1.StatusReport) { r.LastError.ErrorType = v1.ErrorFatal }, counts},
			{"an error's code", func(r *v1.StatusReport) { r.LastError.ErrorCode = "E2" }, moves},
			{"no error any more", func(r *v1.StatusReport) { r.LastError = nil }, counts},
			{"giving up", func(r *v1.StatusReport) {
				r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: "Failed", Status: v1.ConditionTrue})
			}, counts},
			{"metadata", func(r *v1.StatusReport) { r.Metadata = v1.Object(`{"ip":"10.0.0.2","n":1}`) }, moves},
			{"no metadata any more", func(r *v1.StatusReport) { r.Metadata = nil }, moves},
		} {
			t.Run(row.why, func(t *testing.T) {
				t.Parallel()
				id := w.create(t, fmt.Sprintf("c%d", i)).ID
				w.report(t, id, baseReport())
				w.get(t, id) // calculates the status
				w.exec(t, `UPDATE reconciliation_schedule SET reactive = false, next_reconcile_at = now() + interval '29 s' WHERE cluster_id = $1`, id)
				before, version := w.footprint(t, id), value[int64](t, w, `SELECT resource_version FROM clusters WHERE id = $1`, id)

				r := baseReport()
				row.change(&r)
				if res := w.report(t, id, r); !res.Applied || res.ObservedGeneration != 1 {
					t.Errorf("answered %+v", res)
				}
				got := equal
				if w.footprint(t, id) != before {
					got = silent
				}
				if value[bool](t, w, `SELECT reactive AND next_reconcile_at <= now() + interval '2 s' FROM reconciliation_schedule WHERE cluster_id = $1`, id) {
					got = moves
				}
				if value[bool](t, w, `SELECT status_dirty FROM clusters WHERE id = $1`, id) {
					got = counts
				}
				if got != row.want {
					t.Errorf("the report is %s, want %s", got, row.want)
				}
				wantVersion := version
				if row.want != equal {
					wantVersion++
				}
				if v := value[int64](t, w, `SELECT resource_version FROM clusters WHERE id = $1`, id); v != wantVersion {
					t.Errorf("resource version %d, want %d", v, wantVersion)
				}
			})
		}
	})
}

// TestHeartbeat: an equal report after 30 seconds leaves the time, and nothing else.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, baseReport())
		before, status := w.get(t, id)
		for _, row := range []struct {
			age  string
			want bool
		}{{"29 s", false}, {"31 s", true}} {
			w.exec(t, `UPDATE controller_status SET updated_at = clock_timestamp() - $1::interval`, row.age)
			cluster := value[string](t, w, `SELECT xmin || '/' || ctid FROM clusters WHERE id = $1`, id)
			w.report(t, id, baseReport())
			beaten := value[bool](t, w, `SELECT updated_at > clock_timestamp() - interval '20 s' FROM controller_status`)
			if beaten != row.want {
				t.Errorf("heartbeat after %s: %t, want %t", row.age, beaten, row.want)
			}
			if cluster != value[string](t, w, `SELECT xmin || '/' || ctid FROM clusters WHERE id = $1`, id) {
				t.Errorf("a heartbeat after %s wrote to the cluster", row.age)
			}
		}
		after, statusAfter := w.get(t, id)
		if diff := cmp.Diff(status, statusAfter); diff != "" || after.ETag() != before.ETag() || !after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("a heartbeat changed the cluster: %s", diff)
		}
		_, reports, err := w.Status(t.Context(), alice, id)
		must(t, err)
		if time.Since(reports[0].LastUpdated) > 20*time.Second {
			t.Errorf("last_updated %s does not show the heartbeat", reports[0].LastUpdated)
		}
	})
}

// TestReportsOfGenerations: what becomes of a report by the generation that it is of.
func TestReportsOfGenerations(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.put(t, id, `{"n":2}`)
		w.put(t, id, `{"n":3}`)
		for _, row := range []struct {
			why        string
			controller string
			generation int64
			applied    bool
			reason     string
			observed   int64
			code       v1.Code
		}{
			{"an old one of somebody new is news", "dns", 1, true, "", 1, ""},
			{"newer", "dns", 2, true, "", 2, ""},
			{"older than the stored one", "dns", 1, false, v1.NotAppliedStale, 1, ""},
			{"none is the current one", "dns", 0, true, "", 3, ""},
			{"older than that", "dns", 2, false, v1.NotAppliedStale, 2, ""},
			{"the current one by number, equal", "dns", 3, true, "", 3, ""},
			{"not begun yet", "dns", 4, false, "", 0, v1.CodeInvalidField},
			{"not begun yet, of somebody new", "net", 4, false, "", 0, v1.CodeInvalidField},
			{"negative", "net", -1, false, "", 0, v1.CodeInvalidField},
		} {
			r := available(row.controller, v1.ConditionTrue)
			r.ObservedGeneration = row.generation
			before := w.footprint(t, id)
			res, err := w.Report(t.Context(), robot, id, r)
			if row.code != "" {
				wantCode(t, err, row.code)
				if f := faultOf(t, err); f.Field != "observed_generation" {
					t.Errorf("%s: the fault is at %s", row.why, f.Field)
				}
			} else if err != nil || res.Applied != row.applied || res.Reason != row.reason || res.ObservedGeneration != row.observed {
				t.Errorf("%s: %+v, %v", row.why, res, err)
			}
			if !row.applied && w.footprint(t, id) != before {
				t.Errorf("%s: something was written", row.why)
			}
		}
	})
}

func faultOf(t *testing.T, err error) models.Fault {
	t.Helper()
	e, ok := errors.AsType[*models.Error](err)
	if !ok || len(e.Faults) == 0 {
		t.Fatalf("no fault in %v", err)
	}
	return e.Faults[0]
}

// TestReportsOnWhatIsNotThere: a deleted cluster is answered, one that never was is not found.
func TestReportsOnWhatIsNotThere(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionTrue))
		_, err := w.Delete(t.Context(), alice, id, models.DeleteRequest{})
		must(t, err)
		before := w.footprint(t, id)
		for _, r := range []v1.StatusReport{available("dns", v1.ConditionTrue), available("dns", v1.ConditionFalse), available("new", v1.ConditionTrue)} {
			if res := w.report(t, id, r); res.Applied || res.Reason != w.notAppliedDeleted() {
				t.Errorf("a report on a deleted cluster: %+v", res)
			}
		}
		if w.footprint(t, id) != before {
			t.Error("a report on a deleted cluster wrote something")
		}
		_, err = w.Report(t.Context(), robot, uuid.NewString(), available("dns", v1.ConditionTrue))
		wantCode(t, err, v1.CodeNotFound)
	})
}

// TestParallelEqualReports: 50 of them are one step of the resource version.
func TestParallelEqualReports(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		for _, err := range together(50, func(int) error {
			res, err := w.Report(t.Context(), robot, id, baseReport())
			if err == nil && !res.Applied {
				err = fmt.Errorf("not applied: %s", res.Reason)
			}
			return err
		}) {
			must(t, err)
		}
		if v := value[int64](t, w, `SELECT resource_version FROM clusters`); v != 2 {
			t.Errorf("resource version %d, want 2", v)
		}
	})
}

// watchReports makes the database note each report that goes back a generation.
func (w world) watchReports(t *testing.T) {
	t.Helper()
	w.exec(t, `CREATE TABLE gone_back (controller_name text)`)
	w.exec(t, `CREATE FUNCTION note_gone_back() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO gone_back VALUES (NEW.controller_name); RETURN NULL; END $$`)
	w.exec(t, `CREATE TRIGGER note_gone_back AFTER UPDATE ON controller_status FOR EACH ROW
		WHEN (NEW.observed_generation < OLD.observed_generation) EXECUTE FUNCTION note_gone_back()`)
}

// TestTrap10_ALateReportOfAnOlderGeneration overwrote the newer. Here 200 reports of
// five generations by one controller meet; the stored generation never goes back.
func TestTrap10_ALateReportOfAnOlderGeneration(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		for n := range 4 {
			w.put(t, id, spec(n+1).String())
		}
		w.watchReports(t)
		for _, err := range together(200, func(i int) error {
			r := condition("dns", v1.ConditionTrue, "R", strconv.Itoa(i), "")
			r.ObservedGeneration = int64(1 + rand.IntN(5))
			if i == 100 {
				r.ObservedGeneration = 5
			}
			res, err := w.Report(t.Context(), robot, id, r)
			if err == nil && !res.Applied && res.Reason != v1.NotAppliedStale {
				err = fmt.Errorf("not applied: %s", res.Reason)
			}
			return err
		}) {
			must(t, err)
		}
		if n := value[int](t, w, `SELECT count(*) FROM gone_back`); n > 0 {
			t.Errorf("%d reports overwrote newer ones", n)
		}
		if g := value[int64](t, w, `SELECT observed_generation FROM controller_status`); g != 5 {
			t.Errorf("ends at generation %d", g)
		}
		if _, s := w.get(t, id); s.Phase != v1.PhaseReady || s.ObservedGeneration != 5 {
			t.Errorf("status %+v", s)
		}
	})
}

// TestTrap15_ReportsAreOrderedByTheServer: two within a second, by the controllers'
// clocks, and one was lost. Here 200 of 20 controllers at once, each with a clock of its own.
func TestTrap15_ReportsAreOrderedByTheServer(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		long := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, err := range together(200, func(i int) error {
			r := condition(fmt.Sprintf("c%d", i%20), v1.ConditionTrue, "R", strconv.Itoa(i), fmt.Sprintf(`{"i":%d}`, i))
			at := long.Add(-time.Duration(i) * time.Hour)
			r.Conditions[0].LastTransitionTime = &at
			res, err := w.Report(t.Context(), robot, id, r)
			if err == nil && !res.Applied {
				err = fmt.Errorf("not applied: %s", res.Reason)
			}
			return err
		}) {
			must(t, err)
		}
		cluster, status := w.get(t, id)
		if want := `"201"`; cluster.ETag() != want {
			t.Errorf("ETag %s after 200 reports, want %s", cluster.ETag(), want)
		}
		if status.Phase != v1.PhaseReady || status.Conditions[0].Message != "20 of 20 controllers ready" {
			t.Errorf("status %+v", status)
		}
		// One after the other, the later stands, whatever its own clock says.
		first, second := available("c1", v1.ConditionFalse), available("c1", v1.ConditionTrue)
		first.Conditions[0].LastTransitionTime, second.Conditions[0].LastTransitionTime = new(long.AddDate(90, 0, 0)), &long
		w.report(t, id, first)
		w.report(t, id, second)
		if _, s := w.get(t, id); s.Phase != v1.PhaseReady {
			t.Errorf("the later report is lost: %+v", s)
		}
	})
}

// TestReportsRaceADeletion: a report comes before the deletion, or is answered after it.
func TestReportsRaceADeletion(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		for i := range 40 {
			id := w.create(t, fmt.Sprintf("c%d", i)).ID
			var applied bool
			for _, err := range together(2, func(who int) error {
				if who == 0 {
					_, err := w.Delete(t.Context(), alice, id, models.DeleteRequest{})
					return err
				}
				res, err := w.Report(t.Context(), robot, id, available("dns", v1.ConditionTrue))
				applied = res.Applied
				return err
			}) {
				must(t, err)
			}
			if stored := value[int](t, w, `SELECT count(*) FROM controller_status WHERE cluster_id = $1`, id); (stored == 1) != applied {
				t.Fatalf("applied %t, with %d reports stored", applied, stored)
			}
			if due := value[bool](t, w, `SELECT enabled FROM reconciliation_schedule WHERE cluster_id = $1`, id); due {
				t.Fatal("a deleted cluster is on the schedule")
			}
		}
	})
}

// TestTrap16_WhatControllersReallySend is taken, and comes back.
func TestTrap16_WhatControllersReallySend(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		for _, text := range []string{
			`{"controller_name":"c","observed_generation":0,"conditions":[],"last_error":null}`,
			`{"controller_name":"c","conditions":null,"metadata":null,"surprise":[1]}`,
			`{"controller_name":"c","last_error":{"error_type":"Gremlins","details":42,"retry_after":30}}`,
			`{"controller_name":"c","last_error":{"error_type":"Fatal","details":"text"}}`,
			`{"controller_name":"c","conditions":[{"type":"Available","status":"True"},{"type":"Available","status":"False"}]}`,
			`{"controller_name":"c","metadata":{"nul":"a\u0000b","alone":"\ud800","big":1e308}}`,
			`{"controller_name":"c","conditions":[{"type":"Available","status":"True","message":"a\u0000b"}]}`,
		} {
			var r v1.StatusReport
			must(t, json.Unmarshal([]byte(text), &r))
			if res := w.report(t, id, r); !res.Applied {
				t.Errorf("%s: not applied: %s", text, res.Reason)
			}
			if _, _, err := w.Status(t.Context(), robot, id); err != nil {
				t.Errorf("%s: read back: %v", text, err)
			}
		}
	})
}

// TestADroppedReport: who is dropped is waited for no longer, as of the moment of the drop, and
// is one of all again with the next report. A status that is read meanwhile is never older.
func TestADroppedReport(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		c := w.create(t, "one")
		w.report(t, c.ID, available("dns", v1.ConditionTrue))
		w.report(t, c.ID, available("net", v1.ConditionFalse))
		waiting, before := w.get(t, c.ID)
		if before.Phase == v1.PhaseReady {
			t.Fatalf("ready before everybody is: %+v", before)
		}

		must(t, w.DropReport(t.Context(), admin, c.ID, "net"))
		dropped := value[time.Time](t, w, `SELECT report_dropped_at FROM clusters WHERE id = $1`, c.ID)
		ready, after := w.get(t, c.ID)
		if after.Phase != v1.PhaseReady || !strings.Contains(after.Message, "1 of 1") || ready.ResourceVersion <= waiting.ResourceVersion {
			t.Errorf("after the drop: %+v, version %d after %d", after, ready.ResourceVersion, waiting.ResourceVersion)
		}
		for _, condition := range after.Conditions {
			if condition.Type == v1.ConditionReady && !condition.LastTransitionTime.Equal(dropped) {
				t.Errorf("ready since %v, and net was dropped at %v", condition.LastTransitionTime, dropped)
			}
		}
		wantCode(t, w.DropReport(t.Context(), admin, c.ID, "net"), v1.CodeNotFound)
		wantCode(t, w.DropReport(t.Context(), alice, c.ID, "dns"), v1.CodeForbidden)

		w.report(t, c.ID, available("net", v1.ConditionFalse))
		if _, again := w.get(t, c.ID); again.Phase == v1.PhaseReady {
			t.Errorf("net reports again, and is not waited for: %+v", again)
		}
		must(t, w.DropReport(t.Context(), robot, c.ID, "net"))
		must(t, w.DropReport(t.Context(), robot, c.ID, "dns"))
		if _, nobody := w.get(t, c.ID); nobody.Phase != v1.PhasePending {
			t.Errorf("nobody has reported: %+v", nobody)
		}
		_, err := w.Delete(t.Context(), alice, c.ID, models.DeleteRequest{})
		must(t, err)
		wantCode(t, w.DropReport(t.Context(), admin, c.ID, "dns"), v1.CodeNotFound)
	})
}
