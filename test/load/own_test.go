package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// logOfTwo is what PostgreSQL writes of two statements, the second of which spans lines.
const logOfTwo = `2026-03-01 12:00:00.123 UTC [7] LOG:  execute stmtcache_1: SELECT 'x-1', $1
2026-03-01 12:00:00.123 UTC [7] DETAIL:  parameters: $1 = 'other'
2026-03-01 12:00:00.124 UTC [8] LOG:  statement: SET x = 'new-1'
2026-03-01 12:00:00.125 UTC [7] LOG:  execute stmtcache_2: 
	INSERT INTO t
		SELECT $2, $10, $1, $3::jsonb, $4
2026-03-01 12:00:00.125 UTC [7] DETAIL:  parameters: $1 = '01900000-0000-7000-8000-000000000001', $2 = 'new-1', $3 = '{"a": "it''s $5 = ''b''"}', $4 = NULL, $10 = ''
2026-03-01 12:00:00.126 UTC [7] LOG:  something else
`

func TestTheOwnStatementIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	sql, arguments := logged(logOfTwo, "new-1")
	if want := "\nINSERT INTO t\n\tSELECT $2, $10, $1, $3::jsonb, $4"; sql != want {
		t.Errorf("%q, want %q", sql, want)
	}
	want := map[string]string{
		"1": "'01900000-0000-7000-8000-000000000001'", "2": "'new-1'", "3": `'{"a": "it''s $5 = ''b''"}'`, "4": "NULL", "10": "''",
	}
	if diff := cmp.Diff(want, arguments); diff != "" {
		t.Error(diff)
	}
	if sql, _ := logged(logOfTwo, "new-2"); sql != "" {
		t.Errorf("%q was found for a name that nobody sent", sql)
	}
}

func TestTheOwnStatementVaries(t *testing.T) {
	t.Parallel()
	sql, arguments := logged(logOfTwo, "new-1")
	got := asScript(sql, arguments, "new-1")
	want := "\\set run :run + 1\n\nINSERT INTO t\n\tSELECT ('new-1-' || :client_id::text || '-' || :run::text), '', " +
		"('01910000-0000-7001-a' || lpad(:client_id::text, 3, '0') || '-' || lpad(:run::text, 12, '0'))::uuid, :argument3::jsonb, NULL;\n"
	if got.text != want {
		t.Errorf("%q, want %q", got.text, want)
	}
	if diff := cmp.Diff(map[string]string{"run": "0", "argument3": `{"a": "it's $5 = 'b'"}`}, got.variables); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(got.text, "$") {
		t.Errorf("an argument is left: %s", got.text)
	}
}
