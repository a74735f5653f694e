package service_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestRevisions: each spec is kept with who, when and what it changed; a change of anything else
// is no revision; and what was can be had again.
func TestRevisions(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		ctx := t.Context()
		r, err := w.Create(ctx, alice, models.Draft{Name: "one", Spec: v1.Object(`{"a":1}`)})
		must(t, err)
		w.put(t, r.ID, `{"a":2,"b":[1]}`)
		_, err = w.Patch(ctx, admin, r.ID, models.Patch{Common: models.Common{Description: new("no revision")}}, "")
		must(t, err)
		_, err = w.Patch(ctx, admin, r.ID, models.Patch{Spec: v1.Object(`{"a":null}`)}, "")
		must(t, err)
		page, err := w.Revisions(ctx, alice, r.ID, models.HistoryQuery{})
		must(t, err)
		got := make([]string, len(page.Revisions))
		for i, rev := range page.Revisions {
			got[i] = fmt.Sprint(rev.Generation, " ", rev.CreatedBy, " ", string(rev.Diff))
		}
		if diff := cmp.Diff([]string{
			`3 ` + admin.Email + ` [{"op":"remove","path":"/a"}]`,
			`2 ` + alice.Email + ` [{"value":2,"op":"replace","path":"/a"},{"value":[1],"op":"add","path":"/b"}]`,
			`1 ` + alice.Email + ` [{"value":1,"op":"add","path":"/a"}]`,
		}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if rev := page.Revisions[2]; !rev.CreatedAt.Equal(r.CreatedAt) || rev.RequestID != alice.RequestID {
			t.Errorf("the first revision: %+v, of %+v", rev, r)
		}

		back, err := w.Rollback(ctx, alice, r.ID, 2, "")
		must(t, err)
		if back.Generation != 4 || !sameJSON(t, back.Spec, `{"a":2,"b":[1]}`) {
			t.Errorf("rolled back to %d %s", back.Generation, back.Spec)
		}
		again, err := w.Rollback(ctx, alice, r.ID, 4, "")
		must(t, err)
		if again.ResourceVersion != back.ResourceVersion {
			t.Error("a rollback to the present generation left a trace")
		}
		for _, to := range []int64{5, 99} {
			_, err = w.Rollback(ctx, alice, r.ID, to, "")
			wantCode(t, err, v1.CodeNotFound)
		}
		_, err = w.Rollback(ctx, bob, r.ID, 1, "")
		wantCode(t, err, v1.CodeNotFound)
		_, err = w.Rollback(ctx, alice, r.ID, 1, r.ETag())
		wantCode(t, err, v1.CodePreconditionFailed)
		_, err = w.Revisions(ctx, bob, r.ID, models.HistoryQuery{})
		wantCode(t, err, v1.CodeNotFound)
	})
}

func sameJSON(t testing.TB, a v1.Object, b string) bool {
	t.Helper()
	var x, y any
	must(t, json.Unmarshal([]byte(a.String()), &x))
	must(t, json.Unmarshal([]byte(b), &y))
	return cmp.Equal(x, y)
}

// TestTheSigningKeyShowsInNoPast: not in revisions, their diffs or the timeline; a rollback brings
// it back all the same.
func TestTheSigningKeyShowsInNoPast(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		ctx := t.Context()
		const key = "BEGIN-PRIVATE-KEY"
		r, err := w.Create(ctx, alice, models.Draft{Name: "one", Spec: v1.Object(`{"a":1,"serviceAccountSigningKey":"` + key + `-1"}`)})
		must(t, err)
		w.put(t, r.ID, `{"a":1,"serviceAccountSigningKey":"`+key+`-2"}`)
		w.put(t, r.ID, `{"a":2,"serviceAccountSigningKey":null}`)
		w.report(t, r.ID, available("dns", v1.ConditionTrue))
		w.publish(t)
		revisions, err := w.Revisions(ctx, alice, r.ID, models.HistoryQuery{})
		must(t, err)
		timeline, err := w.Timeline(ctx, alice, r.ID, models.HistoryQuery{})
		must(t, err)
		back, err := w.Rollback(ctx, alice, r.ID, 2, "")
		must(t, err)
		text, err := json.Marshal([]any{revisions, timeline, back.Spec})
		must(t, err)
		if strings.Contains(string(text), key) || strings.Contains(string(text), "SigningKey") {
			t.Errorf("the key shows: %s", text)
		}
		if got := string(revisions.Revisions[1].Diff); got != "[]" {
			t.Errorf("a change of the key alone shows as %s", got)
		}
		stored, err := w.Get(ctx, robot, r.ID)
		must(t, err)
		if !strings.Contains(string(stored.Spec), key+"-2") {
			t.Errorf("the rollback did not restore the key: %s", stored.Spec)
		}
	})
}

// TestTimeline has what happened in its order, from the outbox while it is not published and from
// what is written down afterwards, without wake-ups that nobody asked for.
func TestTimeline(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		ctx := t.Context()
		r := w.create(t, "one")
		w.publish(t)
		reporting := robot
		reporting.RequestID = "req-report"
		for _, report := range []v1.StatusReport{
			condition("dns", v1.ConditionFalse, "Building", "", `{"step":1}`),
			condition("dns", v1.ConditionFalse, "Building", "another message", `{"step":2}`), // moves nothing that others wait for
			condition("dns", v1.ConditionTrue, "Built", "", ""),
		} {
			_, err := w.Report(ctx, reporting, r.ID, report)
			must(t, err)
		}
		w.put(t, r.ID, `{"n":1}`)
		_, err := w.WakeDue(ctx, ahead(1), 10)
		must(t, err)
		w.publish(t)
		_, err = w.Reconcile(ctx, alice, r.ID)
		must(t, err)
		_, err = w.Patch(ctx, alice, r.ID, models.Patch{Common: models.Common{Description: new("waits")}}, "")
		must(t, err)

		var got []string
		entries := w.walk(t, r.ID, 2)
		for _, e := range entries {
			got = append(got, strings.Join(strings.Fields(fmt.Sprint(e.What, " ", e.EventType, " ", e.Reason, " ", e.ControllerName, " ", e.Generation, " ", e.RequestID)), " "))
		}
		want := []string{
			"change " + w.event(models.Updated) + " metadata_changed 2 req-1",
			"change " + w.event(models.Reconcile) + " manual 2 req-1",
			"publication " + w.event(models.Updated) + " spec_changed 2 req-1",
			"change " + w.event(models.Updated) + " spec_changed 2 req-1",
			"report dns 1 req-report",
			"report dns 1 req-report",
			"publication " + w.event(models.Created) + " created 1 req-1",
			"change " + w.event(models.Created) + " created 1 req-1",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if !slices.IsSortedFunc(entries, func(a, b v1.TimelineEntry) int { return b.Time.Compare(a.Time) }) {
			t.Errorf("not in order: %+v", entries)
		}
		w.publish(t)
		if n := len(w.walk(t, r.ID, 3)); n != len(want)+2 {
			t.Errorf("%d entries after the rest was published, want %d", n, len(want)+2)
		}
		_, err = w.Timeline(ctx, bob, r.ID, models.HistoryQuery{})
		wantCode(t, err, v1.CodeNotFound)
		_, err = w.Timeline(ctx, alice, r.ID, models.HistoryQuery{PageToken: "x"})
		wantCode(t, err, v1.CodeInvalidPageToken)
	})
}

// TestTimelineKeepsTheGist of a report: nothing that may be long, and nothing that moves nobody.
func TestTimelineKeepsTheGist(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		r := w.create(t, "one")
		report := condition("dns", v1.ConditionFalse, "Building", "a message", `{"step":1}`)
		at := time.Now()
		report.Conditions[0].LastTransitionTime = &at
		report.Conditions = append(report.Conditions, v1.ReportedCondition{Type: "Applied", Status: v1.ConditionTrue})
		report.LastError = &v1.ReportError{ErrorType: v1.ErrorTransient, ErrorCode: "E429", Message: "quota", Timestamp: &at}
		_, err := w.Report(t.Context(), robot, r.ID, report)
		must(t, err)
		want := v1.TimelineEntry{
			What: v1.TimelineReport, Generation: 1, ControllerName: "dns", ErrorType: v1.ErrorTransient, ErrorCode: "E429",
			Conditions: []v1.ReportedCondition{
				{Type: report.Conditions[0].Type, Status: v1.ConditionFalse, Reason: "Building"}, {Type: "Applied", Status: v1.ConditionTrue},
			},
		}
		got := w.walk(t, r.ID, 10)[0]
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "ID", "Time", "RequestID")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// walk reads a timeline to its end in pages.
func (w world) walk(t testing.TB, id string, limit int) (all []v1.TimelineEntry) {
	t.Helper()
	q := models.HistoryQuery{Limit: limit}
	for {
		page, err := w.Timeline(t.Context(), alice, id, q)
		must(t, err)
		all = append(all, page.Events...)
		if page.NextPageToken == "" {
			return all
		}
		q.PageToken = page.NextPageToken
	}
}

// TestRevisionsArePaged: a walk has each once, and a token is for its own list only.
func TestRevisionsArePaged(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		r := w.create(t, "one")
		for i := range 10 {
			w.put(t, r.ID, fmt.Sprintf(`{"n":%d}`, i+1))
		}
		var generations []int64
		q := models.HistoryQuery{Limit: 3}
		for {
			page, err := w.Revisions(t.Context(), alice, r.ID, q)
			must(t, err)
			for _, rev := range page.Revisions {
				generations = append(generations, rev.Generation)
				if len(rev.Diff) == 0 {
					t.Errorf("generation %d has no diff", rev.Generation)
				}
			}
			if page.NextPageToken == "" {
				break
			}
			q.PageToken = page.NextPageToken
		}
		if diff := cmp.Diff([]int64{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, generations); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		_, err := w.Timeline(t.Context(), alice, r.ID, q)
		wantCode(t, err, v1.CodeInvalidPageToken)
	})
}

// TestThePastIsPurged by its age, and with the resource.
func TestThePastIsPurged(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		r := w.create(t, "one")
		w.put(t, r.ID, `{"n":1}`)
		w.put(t, r.ID, `{"n":2}`)
		w.publish(t)
		w.exec(t, `UPDATE cluster_revisions SET replaced_at = now() - interval '2 days' WHERE generation = 1`)
		w.exec(t, `UPDATE timeline SET at = now() - interval '2 days' WHERE generation = 1`)
		revisions, err := w.db.PurgeRevisions(t.Context(), 24*time.Hour, 10)
		must(t, err)
		entries, err := w.db.PurgeTimeline(t.Context(), 24*time.Hour, 10)
		must(t, err)
		if revisions != 1 || entries != 2 {
			t.Errorf("%d revisions and %d entries went, want 1 and 2", revisions, entries)
		}
		page, err := w.Revisions(t.Context(), alice, r.ID, models.HistoryQuery{})
		must(t, err)
		if n := len(page.Revisions); n != 2 || page.Revisions[1].Diff != nil {
			t.Errorf("left: %+v; the second has nothing to differ from", page.Revisions)
		}
		_, err = w.Rollback(t.Context(), alice, r.ID, 1, "")
		wantCode(t, err, v1.CodeNotFound)

		_, err = w.Delete(t.Context(), alice, r.ID, models.DeleteRequest{})
		must(t, err)
		_, err = w.db.PurgeTombstones(t.Context(), -time.Hour, 10)
		must(t, err)
		if left := value[int](t, w, `SELECT (SELECT count(*) FROM timeline)::int + (SELECT count(*) FROM cluster_revisions)::int`); left != 0 {
			t.Errorf("%d rows outlive their resource", left)
		}
	})
}
