package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// script is what pgbench runs, over and over.
type script struct {
	text string
	// variables are what is long, by name: prepared like all other arguments.
	variables map[string]string
}

// bareScript is that of a bare statement. Ids are made from a number, as in the fleet.
func bareScript(k kind, clusters int) (script, error) {
	conditions, err := json.Marshal(report(1, 0).Conditions)
	if err != nil {
		return script{}, err
	}
	tags, err := json.Marshal(labels(1))
	if err != nil {
		return script{}, err
	}
	return script{bareText(k, clusters), map[string]string{
		"conditions": string(conditions), "metadata": string(report(1, 0).Metadata), "labels": string(tags), "spec": string(spec(1)),
	}}, nil
}

func bareText(k kind, clusters int) string {
	random := fmt.Sprintf("\\set i random(0, %d)\n", clusters-1)
	id := `('` + idPrefix + `' || lpad(:i::text, 12, '0'))::uuid`
	fill := func(sql string, values ...string) string {
		for i, v := range values {
			sql = strings.ReplaceAll(sql, "$"+strconv.Itoa(i+1), v)
		}
		return strings.ReplaceAll(sql, "\n", " ") + ";\n"
	}
	switch k {
	case kindGet:
		return random + fill(bareGet, id)
	case kindList:
		return "\\startpipeline\n" + fill(bareCount) + fill(barePage) + "\\endpipeline\n"
	case kindReport:
		return random + fill(bareReport, id, `'dns'`, ":conditions", ":metadata")
	default:
		return fill(bareCreate, `'pgbench-' || gen_random_uuid()`, `'`+newcomer+`'`, ":labels", ":spec")
	}
}

// pgbench runs the bare statement of a kind.
func (b *bench) pgbench(ctx context.Context, k kind, connections int) (result, error) {
	program, err := bareScript(k, b.options.clusters)
	if err != nil {
		return result{}, err
	}
	return b.runScript(ctx, result{operation: string(k), subject: subjectPgbench, connections: connections, kind: k}, program)
}

// pgbenchLeast is how long pgbench is measured at least. It runs for seconds whatever it is asked for, and on a busy machine
// nothing may end in less.
const pgbenchLeast = 500 * time.Millisecond

// runScript has pgbench run a script and measures the middle of the run: making 32 connections
// with their passwords takes as much CPU as some thousand statements.
func (b *bench) runScript(ctx context.Context, res result, program script) (result, error) {
	scratch, err := os.MkdirTemp("", "cls-pgbench-")
	if err != nil {
		return res, fmt.Errorf("make a folder for pgbench: %w", err)
	}
	defer os.RemoveAll(scratch)
	if err := os.WriteFile(filepath.Join(scratch, scriptFile), []byte(program.text), 0o600); err != nil {
		return res, fmt.Errorf("write a script for pgbench: %w", err)
	}
	d := max(b.options.duration, pgbenchLeast)
	cmd, err := b.rig.pgbenchCommand(ctx, program, res.connections, d)
	if err != nil {
		return res, err
	}
	cmd.Dir = scratch
	progress, err := cmd.StderrPipe()
	if err != nil {
		return res, fmt.Errorf("listen to pgbench: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return res, fmt.Errorf("start pgbench: %w", err)
	}
	said, busy := awaitBusy(progress)
	var from, to time.Time
	if busy {
		res.used, err = b.meter(ctx, nil, b.rig.bareDB, func() error {
			from = time.Now()
			defer func() { to = time.Now() }()
			return wait(ctx, d)
		})
	}
	rest, _ := io.ReadAll(progress) // What it says at its end matters only if it fails.
	if err := errors.Join(err, cmd.Wait()); err != nil || !busy {
		return res, fmt.Errorf("pgbench, %s: %w\n%s%s", res.operation, err, said, rest)
	}
	res.elapsed = to.Sub(from)
	res.samples, err = readLog(scratch, from, to)
	return res, err
}

// awaitBusy reads pgbench's progress, a line a second, until there is any. It returns
// what it has read, and false if pgbench ended before.
func awaitBusy(progress io.Reader) (said string, busy bool) {
	lines := bufio.NewScanner(progress)
	for lines.Scan() {
		said += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "progress: ") && !strings.Contains(lines.Text(), " 0.0 tps") {
			return said, true
		}
	}
	return said, false
}

const scriptFile = "script.sql"

func (r *rig) pgbenchCommand(ctx context.Context, program script, connections int, d time.Duration) (*exec.Cmd, error) {
	u, err := url.Parse(r.urlOf(bareDatabase))
	if err != nil {
		return nil, err
	}
	binary, environment, err := r.serverProgram("pgbench")
	if err != nil {
		return nil, err
	}
	// A second or two go by before the measurement begins.
	seconds := strconv.Itoa(int(math.Ceil(d.Seconds()+0.5)) + 2)
	cmd := exec.CommandContext(ctx, binary, "--no-vacuum", "--protocol=prepared", "--client="+strconv.Itoa(connections), "--time="+seconds,
		"--log", "--progress=1", "--file="+scriptFile)
	for name, value := range program.variables {
		cmd.Args = append(cmd.Args, "--define="+name+"="+value)
	}
	password, _ := u.User.Password()
	cmd.Env = append(slices.Clone(environment),
		"PGHOST="+u.Hostname(), "PGPORT="+u.Port(), "PGUSER="+u.User.Username(), "PGDATABASE="+bareDatabase, "PGPASSWORD="+password)
	return cmd, nil
}

// serverProgram finds a program of the installation that the server runs from, and the
// library path that it needs.
func (r *rig) serverProgram(name string) (file string, environment []string, err error) {
	proc := filepath.Join("/proc", strconv.Itoa(r.pg.Pid()))
	server, err := os.Readlink(filepath.Join(proc, "exe"))
	if err != nil {
		return "", nil, fmt.Errorf("find PostgreSQL's programs: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(proc, "environ"))
	if err != nil {
		return "", nil, fmt.Errorf("find PostgreSQL's libraries: %w", err)
	}
	for entry := range bytes.SplitSeq(text, []byte{0}) {
		if bytes.HasPrefix(entry, []byte("LD_LIBRARY_PATH=")) {
			environment = append(environment, string(entry))
		}
	}
	return filepath.Join(filepath.Dir(server), name), environment, nil
}

// logLine is a line of pgbench's log: client, number, microseconds it took, script, and
// the time of its end in seconds and microseconds (pgbench, "Per-Transaction Logging").
var logLine = regexp.MustCompile(`(?m)^\d+ \d+ (\d+) \d+ (\d+) (\d+)`)

// readLog reads what ended in a span of time from what pgbench has logged; one thread
// writes one file.
func readLog(dir string, from, to time.Time) ([]sample, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "pgbench_log.*"))
	if err != nil || len(logs) != 1 {
		return nil, fmt.Errorf("find pgbench's log: %d files in %s", len(logs), dir)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil {
		return nil, fmt.Errorf("read pgbench's log: %w", err)
	}
	var samples []sample
	for _, line := range logLine.FindAllSubmatch(text, -1) {
		var n [3]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(string(line[i+1]), 10, 64); err != nil {
				return nil, fmt.Errorf("read pgbench's log: %w", err)
			}
		}
		took, ended := time.Duration(n[0])*time.Microsecond, time.Unix(n[1], n[2]*1000)
		if ended.After(from) && !ended.After(to) {
			samples = append(samples, sample{at: ended.Sub(from) - took, took: took})
		}
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("pgbench logged nothing between %v and %v", from, to)
	}
	return samples, nil
}
