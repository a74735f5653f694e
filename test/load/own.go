package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/cls-backend/cls-backend/test/wire"
)

// subjectOwn is pgbench with a statement of the service's own.
const subjectOwn = "pgbench, the service's own"

// ownCreate is the statement that the service creates a cluster with, as PostgreSQL was sent it: it is asked to log what
// it is sent while the service answers one request. So it cannot differ from what the service does.
func (r *rig) ownCreate(ctx context.Context) (program script, err error) {
	if err := r.configure(ctx, `ALTER SYSTEM SET log_statement = 'all'`); err != nil {
		return script{}, err
	}
	defer func() {
		err = errors.Join(err, r.configure(ctx, `ALTER SYSTEM RESET log_statement`), r.settle(ctx), r.restore(ctx, r.db))
	}()
	err = r.poll(ctx, "a creation in PostgreSQL's log", 10*time.Millisecond, func(ctx context.Context) (bool, error) {
		name := fmt.Sprintf("logged-%d", time.Now().UnixNano())
		if err := r.ask(ctx, createNamed(name, 1)); err != nil {
			return false, err
		}
		log, err := os.ReadFile(filepath.Join(r.options.dir, "postgres.log"))
		if err != nil {
			return false, err
		}
		sql, arguments := logged(string(log), name)
		program = asScript(sql, arguments, name)
		return sql != "", nil
	})
	return program, err
}

// configure changes a setting of the server. Each connection learns of it before its next statement or soon after.
func (r *rig) configure(ctx context.Context, sql string) error {
	for _, sql := range []string{sql, `SELECT pg_reload_conf()`} {
		if _, err := r.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("configure PostgreSQL: %w", err)
		}
	}
	return nil
}

// ask sends the service a request on a connection of its own.
func (r *rig) ask(ctx context.Context, q request) error {
	c, err := wire.Dial(ctx, r.apiAddr)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c, q)
}

// What PostgreSQL logs of a prepared statement: its text, whose further lines begin with a tab, and its arguments.
var (
	logged1stLine = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \S+ \S+ \[\d+\] (\w+):  `)
	execution     = regexp.MustCompile(`(?s)^execute [^:]*: (.*)`)
	argument      = regexp.MustCompile(`\$(\d+) = (NULL|'(?:[^']|'')*')`)
	placeholder   = regexp.MustCompile(`\$(\d+)`)
)

// logged finds the statement in a log that had a value as one of its arguments, and all its arguments as SQL, by number.
// "" when there is none.
func logged(log, value string) (sql string, arguments map[string]string) {
	starts := logged1stLine.FindAllStringSubmatchIndex(log, -1)
	for i, at := range starts {
		end := len(log)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		text := strings.TrimSuffix(log[at[1]:end], "\n")
		if statement := execution.FindStringSubmatch(text); statement != nil {
			sql = strings.ReplaceAll(statement[1], "\n\t", "\n")
			continue
		}
		if log[at[2]:at[3]] != "DETAIL" || !strings.Contains(text, "'"+value+"'") {
			continue
		}
		arguments = map[string]string{}
		for _, a := range argument.FindAllStringSubmatch(text, -1) {
			arguments[a[1]] = a[2]
		}
		return sql, arguments
	}
	return "", nil
}

// asScript is a statement for pgbench. What must be another each time, ids and the name, is made from the number of the
// client and that of the run; ids grow, as the service's own do. All else stays what it was.
func asScript(sql string, arguments map[string]string, name string) script {
	program := script{variables: map[string]string{"run": "0"}}
	fill := func(place string) string {
		number := place[1:]
		value := arguments[number]
		switch value {
		case "": // An argument that was not logged: it is none.
			return "NULL"
		case "NULL", "''": // pgbench knows no empty variables.
			return value
		}
		text := strings.ReplaceAll(value[1:len(value)-1], "''", "'")
		switch {
		case text == name:
			return `('` + name + `-' || :client_id::text || '-' || :run::text)`
		case uuid.Validate(text) == nil:
			id, _ := strconv.Atoi(number) // It is digits.
			return fmt.Sprintf(`('01910000-0000-7%03d-a' || lpad(:client_id::text, 3, '0') || '-' || lpad(:run::text, 12, '0'))::uuid`, id)
		default:
			program.variables["argument"+number] = text
			return ":argument" + number
		}
	}
	program.text = "\\set run :run + 1\n" + placeholder.ReplaceAllStringFunc(sql, fill) + ";\n"
	return program
}
