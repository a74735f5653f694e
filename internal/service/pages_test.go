package service_test

import (
	"fmt"
	"slices"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// replica is another instance of the service on the same database.
func (w world) replica(t *testing.T) *service.Resources {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: w.url})
	must(t, err)
	t.Cleanup(db.Close)
	return service.NewResources(w.kind, db, w.settings, nil, noObserver{})
}

// pages reads a list page by page, from one of the instances after the other, and returns the names
// on each page.
func pages(t *testing.T, by models.Actor, q models.ListQuery, instances ...*service.Resources) [][]string {
	t.Helper()
	var all [][]string
	for len(all) < 100 {
		page, err := instances[len(all)%len(instances)].List(t.Context(), by, q)
		must(t, err)
		var names []string
		for _, c := range page.Resources {
			names = append(names, c.Name)
		}
		all = append(all, names)
		if page.NextPageToken == "" {
			return all
		}
		q.Offset, q.PageToken = 0, page.NextPageToken
	}
	t.Fatal("a list without end")
	return nil
}

// TestReplicasTakeEachOthersTokens, also that of a page by offset.
func TestReplicasTakeEachOthersTokens(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		for i := range 7 {
			w.create(t, fmt.Sprintf("c%d", i))
		}
		for order, want := range map[models.Order]string{
			"": "[[c6 c5] [c4 c3] [c2 c1] [c0]]", "name": "[[c0 c1] [c2 c3] [c4 c5] [c6]]", "-updated_at": "[[c6 c5] [c4 c3] [c2 c1] [c0]]",
		} {
			if got := fmt.Sprint(pages(t, alice, models.ListQuery{Limit: 2, OrderBy: order}, w.Resources, w.replica(t))); got != want {
				t.Errorf("by %q: %s, want %s", order, got, want)
			}
		}
		if got := fmt.Sprint(pages(t, alice, models.ListQuery{Limit: 2, Offset: 3}, w.replica(t), w.replica(t))); got != "[[c3 c2] [c1 c0]]" {
			t.Errorf("from the fourth on: %s", got)
		}
	})
}

// TestTokensAreOfTheirListAndCaller: whoever sees all may go on where another who does began; a user
// may not, with anybody's token. The limit, and the spelling of a filter, are free.
func TestTokensAreOfTheirListAndCaller(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		for i := range 3 {
			w.create(t, fmt.Sprintf("c%d", i))
		}
		first := func(by models.Actor) string {
			page, err := w.List(t.Context(), by, models.ListQuery{Limit: 1})
			must(t, err)
			return page.NextPageToken
		}
		ofAlice, ofAdmin := first(alice), first(admin)
		for _, row := range []struct {
			why   string
			by    models.Actor
			token string
			q     models.ListQuery
			want  v1.Code
		}{
			{"her own", alice, ofAlice, models.ListQuery{}, ""},
			{"who names herself", alice, ofAlice, models.ListQuery{CreatedBy: "Alice@Example.com", OrderBy: models.NewestFirst, ExactTotal: true}, ""},
			{"another user", bob, ofAlice, models.ListQuery{}, v1.CodeInvalidPageToken},
			{"a user with an administrator's", alice, ofAdmin, models.ListQuery{}, v1.CodeInvalidPageToken},
			{"an administrator with a user's", admin, ofAlice, models.ListQuery{}, v1.CodeInvalidPageToken},
			{"an administrator who asks for the user's", admin, ofAlice, models.ListQuery{CreatedBy: alice.Email}, v1.CodeInvalidPageToken},
			{"a controller with an administrator's", robot, ofAdmin, models.ListQuery{Limit: 2}, ""},
			{"another filter", admin, ofAdmin, models.ListQuery{Platform: "gcp"}, v1.CodeInvalidPageToken},
			{"another order", admin, ofAdmin, models.ListQuery{OrderBy: "name"}, v1.CodeInvalidPageToken},
			{"no token", admin, "x", models.ListQuery{}, v1.CodeInvalidPageToken},
		} {
			row.q.PageToken = row.token
			page, err := w.List(t.Context(), row.by, row.q)
			if codeOf(err) != row.want {
				t.Errorf("%s: %v, want %q", row.why, err, row.want)
			}
			if err == nil && (len(page.Resources) != 2 || page.Resources[0].Name != "c1" || page.NextPageToken != "") {
				t.Errorf("%s: %d rows, then %q", row.why, len(page.Resources), page.NextPageToken)
			}
		}
		w.exec(t, `UPDATE page_token_key SET key = sha256(key)`)
		if _, err := w.List(t.Context(), alice, models.ListQuery{PageToken: ofAlice}); err != nil {
			t.Errorf("the key is read again: %v", err)
		}
		_, err := w.replica(t).List(t.Context(), alice, models.ListQuery{PageToken: ofAlice})
		wantCode(t, err, v1.CodeInvalidPageToken)
	})
}

// TestAWalkByPhaseGoesOnBehindRowsThatLeft: a page whose rows have all moved to another phase is
// empty, and not the last one.
func TestAWalkByPhaseGoesOnBehindRowsThatLeft(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		var ids []string
		for i := range 6 {
			id := w.create(t, fmt.Sprintf("c%d", i)).ID
			w.report(t, id, available("dns", v1.ConditionTrue))
			w.get(t, id)
			ids = append(ids, id)
		}
		for _, i := range []int{5, 4, 2} {
			w.report(t, ids[i], available("dns", v1.ConditionFalse))
		}
		w.exec(t, `DELETE FROM stale_statuses`) // As if these were beyond those that a list refreshes first.
		got := pages(t, alice, models.ListQuery{Limit: 2, Phase: v1.PhaseReady}, w.Resources)
		if want := [][]string{nil, {"c3"}, {"c1", "c0"}}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
