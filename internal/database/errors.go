package database

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// retryAfter is how long a caller is asked to wait when the database is away.
const retryAfter = time.Second

// translate turns an error of PostgreSQL or of the way to it into the service's
// vocabulary; what says what was being done. An error that is in the vocabulary
// already passes as it is.
func translate(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*models.Error](err); ok {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fromSQLState(what, pg)
	}
	if unreachable(err) {
		return unavailable(wrap(what, err))
	}
	return wrap(what, err)
}

func unavailable(err error) error {
	return &models.Error{
		Code: v1.CodeUnavailable, Message: "the database is not available; try again", RetryAfter: retryAfter, Err: err,
	}
}

// fromSQLState goes by the classes of PostgreSQL's appendix A.
func fromSQLState(what string, pg *pgconn.PgError) error {
	switch {
	case pg.Code == "23505" && pg.ConstraintName == "clusters_name_key":
		return models.KindCluster.NameExists(pg)
	case pg.Code == "23505" && pg.ConstraintName == "nodepools_name_key":
		return models.KindNodePool.NameExists(pg)
	case isPassing(pg.Code):
		return unavailable(wrap(what, pg))
	}
	return wrap(what, pg)
}

// isPassing reports whether a SQLSTATE may be gone on the next try: connection (08),
// lack of resources (53), intervention of an operator or a timeout (57), a transaction
// rolled back by a conflict (40), an idle one ended (25P03), a lock that was not to be had
// in time (55P03), a server that is read-only during a fail-over (25006), a schema that is
// not there yet (42P01), and system errors such as a full disk (58).
func isPassing(code string) bool {
	switch code {
	case "25P03", "55P03", "25006", "42P01":
		return true
	}
	for _, class := range []string{"08", "40", "53", "57", "58"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// unreachable reports whether an error comes from the way to the server.
func unreachable(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
