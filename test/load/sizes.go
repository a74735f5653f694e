package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/test/proof"
)

// sizesStudy is whether what an operation costs depends on how many clusters there are.
func sizesStudy() study {
	return study{
		name: "sizes",
		about: "What each operation costs at 10,000, 100,000 and 1,000,000 clusters with three reports and a node pool each, 200 of an\n" +
			"owner, at 8 connections: CPU as judged (see operations), the median of the latency, and how many pages of 8 KiB the\n" +
			"statements looked at, in memory or not (pg_stat_statements). Each must be within twice its value at 10,000.\n" +
			"PostgreSQL has a quarter of the machine's memory for its buffers, as its manual recommends, no checkpoints meanwhile, and\n" +
			"no autovacuum: dead rows are swept after each operation. Nothing in the fleet is due to be woken meanwhile, so that a\n" +
			"larger one does not leave less of the machine: a million clusters that are woken every five minutes are 6,700 events a\n" +
			"second, with their node pools. The statuses of the larger fleets are those that the service has calculated for the first\n" +
			"clusters.",
		run: studySizes,
	}
}

const (
	// memoryBar is what a replica may have in memory, in MiB.
	memoryBar = 200
	// growthBar is how many times as much an operation may cost at any size as at the smallest.
	growthBar = 2
)

const countBuffers = `SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
	FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()`

// sized is what was measured at a size.
type sized struct {
	clusters int
	rest     usage // in a second
	results  []result
}

func studySizes(ctx context.Context, l *lab) (s section, err error) {
	sizes := dosed(l, []int{200, 400, 800}, []int{10_000, 100_000, 1_000_000})
	l.options.stable = 10 * time.Hour
	l.options.settings = map[string]string{
		"shared_preload_libraries": "pg_stat_statements", "checkpoint_timeout": "1d", "max_wal_size": "100GB",
		// It would go on for minutes after a fleet was made, and be taken for what the service uses at rest.
		"autovacuum": "off",
	}
	if quarter := l.machine.Memory / 4 >> 20; quarter > 0 {
		l.options.settings["shared_buffers"] = strconv.FormatInt(quarter, 10) + "MB"
	}
	r, err := l.rig(ctx, sizes[0], true)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return s, err
	}
	like, err := r.likeness(ctx)
	if err != nil {
		return s, err
	}
	var all []sized
	for _, n := range sizes {
		began := time.Now()
		if err := r.grow(ctx, n, like); err != nil {
			return s, fmt.Errorf("make %d clusters: %w", n, err)
		}
		took := time.Since(began)
		fmt.Fprintf(l.out, "%d clusters, made in %v\n", n, took.Round(time.Second))
		at, err := l.atSize(ctx, r, sizes[0])
		if err != nil {
			return s, fmt.Errorf("%d clusters: %w", n, err)
		}
		all = append(all, at)
		figures, err := r.weigh(ctx, n)
		if err != nil {
			return s, err
		}
		if n > sizes[0] {
			s.Figures = append(s.Figures, proof.Measured(proof.Thousands(n)+" clusters: made in", took.Seconds(), "s"))
		}
		s.Figures = append(append(s.Figures, figures...),
			proof.Measured(proof.Thousands(n)+" clusters: the service at rest uses", milliseconds(at.rest.process), "ms of CPU a second"),
			proof.Measured(proof.Thousands(n)+" clusters: PostgreSQL then uses", milliseconds(at.rest.postgres), "ms of CPU a second"))
	}
	compare(&s, all)
	return s, nil
}

// atSize measures the operations. The bare handler, whose pace judges, stays at the smallest size.
func (l *lab) atSize(ctx context.Context, r *rig, smallest int) (sized, error) {
	for _, db := range []*pgx.Conn{r.db, r.bareDB} {
		for _, sql := range []string{`CREATE EXTENSION IF NOT EXISTS pg_stat_statements`, `SET pg_stat_statements.track = 'none'`} {
			if _, err := db.Exec(ctx, sql); err != nil {
				return sized{}, fmt.Errorf("have PostgreSQL count pages: %w", err)
			}
		}
	}
	b := l.bench(r)
	b.options.clusters, b.options.rounds, b.counted = smallest, dosed(l, 1, 3), true
	if err := b.measureRest(ctx, dosed(l, 50*time.Millisecond, restFor)); err != nil {
		return sized{}, err
	}
	fmt.Fprintf(l.out, "at rest %s ms of CPU a second, PostgreSQL %s\n", ms(b.background.process), ms(b.background.postgres))
	for _, op := range operations(r.options.clusters) {
		if l.options.short && !slices.Contains([]string{"get", "list", "report changed", "create"}, op.name) {
			continue
		}
		op.bar = 0
		if err := b.measureOperation(ctx, op, connections); err != nil {
			return sized{}, err
		}
	}
	return sized{r.options.clusters, b.background, b.results}, nil
}

// likeness is what the service has calculated for the first clusters and their node pools. Those that follow are like them.
type likeness struct {
	names map[string][]string // of the columns, by table
	rows  map[string][][]any
}

// period is after how many clusters there is one that is like the first: of the same platform, and as well.
const period = 3 * failedEvery

// columns may be asked of nil.
func (l *likeness) columns(of string) []string {
	if l == nil {
		return nil
	}
	return l.names[of]
}

func (l *likeness) row(of string, i int) []any {
	if l == nil {
		return nil
	}
	return l.rows[of][i%period]
}

// likeness reads what seed does not say of the first clusters and node pools.
func (r *rig) likeness(ctx context.Context) (*likeness, error) {
	l := &likeness{map[string][]string{}, map[string][][]any{}}
	said := map[string][]string{}
	for _, t := range (filling{}).tables() {
		said[t.name] = t.columns
	}
	for _, table := range []string{"clusters", "nodepools"} {
		rows, err := r.db.Query(ctx, `SELECT column_name FROM information_schema.columns
			WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER' AND is_identity = 'NO' AND column_name <> ALL ($2)`,
			table, said[table])
		if err != nil {
			return nil, err
		}
		if l.names[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return nil, err
		}
		first, err := r.db.Query(ctx, `SELECT `+strings.Join(l.names[table], ", ")+` FROM `+table+` ORDER BY id LIMIT $1`, period)
		if err != nil {
			return nil, err
		}
		if l.rows[table], err = pgx.CollectRows(first, func(row pgx.CollectableRow) ([]any, error) { return row.Values() }); err != nil {
			return nil, err
		}
		if len(l.rows[table]) < period {
			return nil, fmt.Errorf("%s has %d rows, too few to make others like them", table, len(l.rows[table]))
		}
	}
	return l, nil
}

// grow makes the fleet larger, while the service is away. It does nothing for the size that there is.
func (r *rig) grow(ctx context.Context, to int, like *likeness) error {
	if to == r.options.clusters {
		return nil
	}
	if err := r.service.stop(); err != nil {
		return err
	}
	if err := seed(ctx, r.db, filling{from: r.options.clusters, to: to, then: r.then, due: r.due, like: like}); err != nil {
		return err
	}
	r.options.clusters = to
	if _, err := r.db.Exec(ctx, `VACUUM (ANALYZE)`); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	if err := r.startService(ctx); err != nil {
		return err
	}
	return r.settle(ctx)
}

// weigh is how large everything is after the operations.
func (r *rig) weigh(ctx context.Context, clusters int) ([]proof.Figure, error) {
	memory, err := residentMemory(r.service.pid())
	if err != nil {
		return nil, err
	}
	var size int64
	if err := r.db.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&size); err != nil {
		return nil, fmt.Errorf("read the size of the database: %w", err)
	}
	at := proof.Thousands(clusters) + " clusters: "
	return []proof.Figure{
		proof.AtMost(at+"memory of a replica after the operations", float64(memory)/(1<<20), "MiB", memoryBar),
		proof.Measured(at+"size of the database", float64(size)/(1<<20), "MiB"),
		proof.Measured(at+"size for a cluster, its node pool and their reports", float64(size)/(1<<10)/float64(clusters), "KiB"),
	}, nil
}

var resident = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// residentMemory is what a process has in memory, in bytes.
func residentMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	found := resident.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("process %d has no memory", pid)
	}
	kib, err := strconv.ParseInt(string(found[1]), 10, 64)
	return kib << 10, err
}

// aspect is something that an operation costs.
type aspect struct {
	name, unit string
	of         func(result) float64
}

func aspects() []aspect {
	return []aspect{
		{"CPU as judged", "us", result.judged},
		{"p50", "ms", func(r result) float64 { return milliseconds(percentile(r.samples, 0.5)) }},
		{"pages", "", func(r result) float64 { return float64(r.used.buffers) / float64(len(r.samples)) }},
	}
}

// unseen is less than anything costs: what was too short to be seen at all is no zero to divide by.
const unseen = 0.001

// compare adds how each operation's costs have grown: the figures, a table and a plot an aspect. What costs less than
// nothing was measured beside a service that was less busy then than at rest, and proves nothing.
func compare(s *section, all []sized) {
	negative := 0
	for _, a := range aspects() {
		label := a.name
		if a.unit != "" {
			label += ", " + a.unit
		}
		t := table{Title: label + ", by clusters:", Header: []string{"Operation"}}
		p := proof.Plot{Title: label + " by size", X: proof.Axis{Label: "clusters", Log: true}, Y: proof.Axis{Label: label, Log: true}}
		for _, at := range all {
			t.Header = append(t.Header, proof.Thousands(at.clusters))
		}
		for i, first := range all[0].results {
			row, line := []any{first.operation}, proof.Series{Name: first.operation}
			worst := 0.0
			for _, at := range all {
				v := a.of(at.results[i])
				if v < 0 {
					negative++
				}
				row = append(row, v)
				line.Points = append(line.Points, proof.Point{X: float64(at.clusters), Y: v})
				worst = max(worst, v/max(a.of(first), unseen))
			}
			t.add(row...)
			p.Series = append(p.Series, line)
			s.Figures = append(s.Figures, proof.AtMost(
				fmt.Sprintf("%s: %s, at most, by that at %s", first.operation, a.name, proof.Thousands(all[0].clusters)), worst, "times", growthBar))
		}
		s.Tables, s.Plots = append(s.Tables, t), append(s.Plots, p)
	}
	s.Figures = append(s.Figures,
		proof.AtMost("costs below zero: the service at rest was measured while it was not", float64(negative), "", 0))
}
