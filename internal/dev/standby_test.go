package dev

import (
	"strings"
	"testing"
	"time"
)

// What a primary has acknowledged while a standby is synchronous is there when the primary is not.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	primary := start(t, PostgresOptions{Dir: newData(t), Durable: true})
	execute(t, primary.URL(), "CREATE TABLE kept (v text)", "INSERT INTO kept VALUES ('before')")
	standby, err := primary.StartStandby(t.Context(), PostgresOptions{Dir: newFolder(t), Durable: true})
	must(t, err)
	t.Cleanup(standby.Kill)
	if got := query(t, standby.URL(), "SELECT v || pg_is_in_recovery() FROM kept"); got != "beforetrue" {
		t.Errorf("the standby has %q", got)
	}
	execute(t, primary.URL(), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	begun := time.Now()
	for query(t, primary.URL(), "SELECT coalesce(max(sync_state), '') FROM pg_stat_replication") != "sync" {
		if time.Since(begun) > limit {
			t.Fatal("the standby does not become synchronous")
		}
	}
	execute(t, primary.URL(), "UPDATE kept SET v = 'after'")
	primary.Kill()
	if got := query(t, standby.URL(), "SELECT pg_promote()::text"); got != "true" {
		t.Fatalf("pg_promote: %s", got)
	}
	if got := query(t, standby.URL(), "SELECT v FROM kept"); got != "after" {
		t.Errorf("after the fail-over: %q", got)
	}
	execute(t, standby.URL(), "INSERT INTO kept VALUES ('and on')")
	must(t, standby.Stop(t.Context()))
	if again := start(t, standby.Options()); query(t, again.URL(), "SELECT count(*)::text FROM kept") != "2" {
		t.Error("the standby has lost something by a restart")
	}
}

func TestStandbyNeedsAnEmptyFolder(t *testing.T) {
	t.Parallel()
	primary := start(t, PostgresOptions{Dir: newData(t)})
	_, err := primary.StartStandby(t.Context(), PostgresOptions{Dir: newData(t)})
	if err == nil || !strings.Contains(err.Error(), "holds a server already") {
		t.Errorf("got %v", err)
	}
}
