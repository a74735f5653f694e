package database

import (
	"context"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/internal/models"
)

// ClaimDueLess is ClaimDue with a broken statement: the part of it that is named is taken
// away; "" for none. The tests of sharing and of fairness must notice.
func (tx *Tx) ClaimDueLess(ctx context.Context, part string, offset time.Duration, limit int) ([]models.Due, error) {
	if !strings.Contains(claimDue, part) {
		panic("database: the claim of due clusters has no " + part)
	}
	return collect(ctx, tx.db.q, scanDue, tx.sql(strings.Replace(claimDue, part, "", 1)), offset, limit)
}

// Exec runs a statement of a test's own in the transaction.
func (tx *Tx) Exec(ctx context.Context, sql string) error {
	_, err := tx.db.q.Exec(ctx, sql)
	return err
}
