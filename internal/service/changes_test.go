package service_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// value of a JSON text, for comparison.
func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	must(t, json.Unmarshal(text, &v))
	return v
}

// TestSecretsThroughAPut: absent keeps, null removes, a value replaces; only controllers
// see it, and whoever may not is shown the rest.
func TestSecretsThroughAPut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *service.Settings) {
		s.Secrets = models.NewSecrets([]string{"auth.token"})
		s.Defaults = models.Defaults{ReleaseVersion: "4.20", ChannelGroup: "stable"}
	})
	c, err := w.Create(t.Context(), alice, models.Draft{Name: "one", Spec: v1.Object(
		`{"serviceAccountSigningKey":"KEY","auth":{"token":"TOKEN","mode":"m"},"n":1}`)})
	must(t, err)
	const defaults = `"release":{"version":"4.20","channelGroup":"stable"}`
	for _, row := range []struct {
		why, put      string
		stored, shown string
		generation    int64
	}{
		{
			"what alice reads back changes nothing", `{"auth":{"mode":"m"},"n":1,` + defaults + `}`,
			`{"serviceAccountSigningKey":"KEY","auth":{"token":"TOKEN","mode":"m"},"n":1,` + defaults + `}`, `{"auth":{"mode":"m"},"n":1,` + defaults + `}`, 1,
		},
		{
			"defaults may be left out", `{"auth":{"mode":"m"},"n":1}`,
			`{"serviceAccountSigningKey":"KEY","auth":{"token":"TOKEN","mode":"m"},"n":1,` + defaults + `}`, `{"auth":{"mode":"m"},"n":1,` + defaults + `}`, 1,
		},
		{
			"the rest changes around the secrets", `{"n":2,"release":{"version":"4.21"}}`,
			`{"serviceAccountSigningKey":"KEY","auth":{"token":"TOKEN"},"n":2,"release":{"version":"4.21","channelGroup":"stable"}}`,
			`{"auth":{},"n":2,"release":{"version":"4.21","channelGroup":"stable"}}`, 2,
		},
		{
			"a secret is replaced", `{"serviceAccountSigningKey":"NEW","n":2}`,
			`{"serviceAccountSigningKey":"NEW","auth":{"token":"TOKEN"},"n":2,"release":{"version":"4.21","channelGroup":"stable"}}`,
			`{"auth":{},"n":2,"release":{"version":"4.21","channelGroup":"stable"}}`, 3,
		},
		{
			"null removes", `{"serviceAccountSigningKey":null,"auth":{"token":null},"n":2,"release":{"channelGroup":null}}`,
			`{"auth":{},"n":2,"release":{"version":"4.21"}}`, `{"auth":{},"n":2,"release":{"version":"4.21"}}`, 4,
		},
	} {
		up, err := w.Update(t.Context(), alice, c.ID, models.Edit{Spec: v1.Object(row.put)}, "")
		must(t, err)
		if up.Generation != row.generation {
			t.Errorf("%s: generation %d, want %d", row.why, up.Generation, row.generation)
		}
		read, err := w.Get(t.Context(), alice, c.ID)
		must(t, err)
		page, err := w.List(t.Context(), admin, models.ListQuery{})
		must(t, err)
		for view, text := range map[string][]byte{"PUT": up.Spec, "GET": read.Spec, "list": page.Resources[0].Spec} {
			if diff := cmp.Diff(decoded(t, []byte(row.shown)), decoded(t, text)); diff != "" {
				t.Errorf("%s: shown by %s: %s", row.why, view, diff)
			}
		}
		whole, err := w.Get(t.Context(), robot, c.ID)
		must(t, err)
		if diff := cmp.Diff(decoded(t, []byte(row.stored)), decoded(t, whole.Spec)); diff != "" {
			t.Errorf("%s: stored: %s", row.why, diff)
		}
	}
}

// TestTrap31_SecretsStayIn: the signing key came back on every read. Here no answer to a
// user or an admin has it, refusals included.
func TestTrap31_SecretsStayIn(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		const key = "PRIVATE"
		in := models.Draft{Name: "one", Spec: v1.Object(`{"serviceAccountSigningKey":"` + key + `"}`)}
		c, err := w.Create(t.Context(), alice, in)
		must(t, err)
		id := c.ID
		var answers []any
		note := func(v any, err error) { answers = append(answers, v, err) }
		note(c, nil)
		note(w.Create(t.Context(), alice, in)) // The name is taken.
		note(w.Update(t.Context(), alice, id, models.Edit{Spec: v1.Object(`{"n":1}`)}, ""))
		note(w.Update(t.Context(), alice, id, models.Edit{Spec: v1.Object(`{"serviceAccountSigningKey":"` + key + `2","platform":{"type":"!"}}`)}, ""))
		for _, by := range []models.Actor{alice, admin} {
			note(w.Get(t.Context(), by, id))
			note(w.List(t.Context(), by, models.ListQuery{}))
			status, _, err := w.Status(t.Context(), by, id)
			note(status, err)
		}
		note(w.Delete(t.Context(), alice, id, models.DeleteRequest{}))
		for _, a := range answers {
			text, err := json.Marshal(a)
			must(t, err)
			if err, ok := a.(error); ok {
				text = []byte(err.Error())
			}
			if strings.Contains(string(text), key) {
				t.Errorf("an answer has the key: %s", text)
			}
		}
		if events := value[string](t, w, `SELECT string_agg(outbox::text, ' ') FROM outbox`); strings.Contains(events, key) {
			t.Errorf("an event has the key: %s", events)
		}
	})
}

// TestWhatAPutLeaves: a spec makes a generation, its description an event without one,
// and what changes nothing leaves no trace at all.
func TestWhatAPutLeaves(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		c, err := w.Create(t.Context(), alice, models.Draft{
			Name: "one", Description: "d", Labels: map[string]string{"a": "b"}, Spec: v1.Object(`{"n":1,"list":[1,2],"o":{"x":1}}`),
		})
		must(t, err)
		same := v1.Object(`{"o":{"x":1.0},"list":[1,2],"n":1e0}`)
		for _, row := range []struct {
			why    string
			in     models.Edit
			reason string // of the event; "" for no trace
		}{
			{"the same spec, spelled otherwise", models.Edit{Spec: same}, ""},
			{"read, edit nothing, write", models.Edit{Common: models.Common{Fixed: models.Fixed{ID: &c.ID, Name: &c.Name}, Description: new("d"), Paused: new(false), Generation: new(int64(1))}, Labels: map[string]string{"a": "b"}, Spec: same}, ""},
			{"a label", models.Edit{Spec: same, Labels: map[string]string{"a": "c"}}, v1.ReasonMetadataChanged},
			{"no labels", models.Edit{Spec: same, Labels: map[string]string{}}, v1.ReasonMetadataChanged},
			{"a description", models.Edit{Common: models.Common{Description: new("")}, Spec: same}, v1.ReasonMetadataChanged},
			{"a pause", models.Edit{Common: models.Common{Paused: new(true)}, Spec: same}, v1.ReasonMetadataChanged},
			{"the order of a list", models.Edit{Spec: v1.Object(`{"n":1,"list":[2,1],"o":{"x":1}}`)}, v1.ReasonSpecChanged},
			{"an empty spec", models.Edit{Spec: v1.Object(`{}`)}, v1.ReasonSpecChanged},
			{"both", models.Edit{Common: models.Common{Paused: new(false)}, Spec: v1.Object(`{"n":2}`)}, v1.ReasonSpecChanged},
		} {
			w.get(t, c.ID) // calculates the status, so that reading does not count
			w.publish(t)
			before, _ := w.get(t, c.ID)
			footprint := w.footprint(t, c.ID)
			up, err := w.Update(t.Context(), alice, c.ID, row.in, "")
			must(t, err)
			events := w.publish(t)
			switch {
			case row.reason == "":
				if len(events) > 0 || up.ETag() != before.ETag() || up.Generation != before.Generation || w.footprint(t, c.ID) != footprint {
					t.Errorf("%s: left a trace: %+v", row.why, events)
				}
			case len(events) != 1 || events[0].Event.Reason != row.reason || events[0].Event.Type != w.event(models.Updated) || events[0].Event.Generation != up.Generation:
				t.Errorf("%s: events %+v", row.why, events)
			case (up.Generation > before.Generation) != (row.reason == v1.ReasonSpecChanged) || up.ETag() == before.ETag() || !up.UpdatedAt.After(before.UpdatedAt):
				t.Errorf("%s: generation %d after %d, ETag %s after %s", row.why, up.Generation, before.Generation, up.ETag(), before.ETag())
			}
		}
	})
}

// TestRefusedChangesLeaveNothing: a fault in a change is found before anything is written.
func TestRefusedChangesLeaveNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		c := w.create(t, "one")
		before := w.footprint(t, c.ID)
		for _, row := range []struct {
			in    models.Edit
			field string
		}{
			{models.Edit{}, "spec"},
			{models.Edit{Spec: v1.Object(`null`)}, "spec"},
			{models.Edit{Common: models.Common{Fixed: models.Fixed{Name: new("two")}}, Spec: spec(1)}, "name"},
			{models.Edit{Common: models.Common{Fixed: models.Fixed{ID: new("x")}}, Spec: spec(1)}, "id"},
			{models.Edit{Common: models.Common{Fixed: models.Fixed{TargetProjectID: new("p")}}, Spec: spec(1)}, "target_project_id"},
			{models.Edit{Spec: v1.Object(`{"platform":{"type":"a b"}}`)}, "spec.platform.type"},
			{models.Edit{Spec: spec(1), Labels: map[string]string{"!": ""}}, "labels.!"},
		} {
			_, err := w.Update(t.Context(), alice, c.ID, row.in, "")
			wantCode(t, err, v1.CodeInvalidField)
			if f := faultOf(t, err); f.Field != row.field {
				t.Errorf("%+v: the fault is at %s, want %s", row.in, f.Field, row.field)
			}
		}
		if w.footprint(t, c.ID) != before {
			t.Error("a refused change left something")
		}
	})
}
