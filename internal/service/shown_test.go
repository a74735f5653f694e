package service_test

import (
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestACommittedChangeIsAnswered: what is stored is answered as done, though the controllers that a
// status would name cannot be read.
func TestACommittedChangeIsAnswered(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		w.exec(t, `ALTER TABLE controllers RENAME TO elsewhere`)
		r, err := w.Create(t.Context(), alice, models.Draft{Name: "one", Spec: spec(0)})
		must(t, err)
		_, err = w.Update(t.Context(), alice, r.ID, models.Edit{Spec: spec(1)}, "")
		must(t, err)
		_, err = w.Get(t.Context(), alice, r.ID)
		wantCode(t, err, v1.CodeUnavailable)
	})
}
