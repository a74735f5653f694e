package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/proof"
)

// operationsStudy is what each operation costs, beside the least that could do the same.
func operationsStudy() study {
	return study{
		name: "operations",
		about: "What an operation costs at 10,000 clusters and 8 connections: the CPU of the service and of all PostgreSQL processes, until\n" +
			"all that it has caused is done, the work of the service at rest taken off. Right before and after each of seven rounds a bare\n" +
			"handler does the operation of its own kind; what it takes, by what it takes on the machine that the bars are set for, is how\n" +
			"slow the machine was, and judged is CPU divided by it (docs/adr/0017). The middle round counts. Beside it in the same run: the\n" +
			"bare statement under pgbench, the bare handler, and for a creation pgbench with the statement that the service itself sends,\n" +
			"as PostgreSQL has logged it.",
		run: studyOperations,
	}
}

const (
	studied     = 10_000 // clusters
	connections = 8
)

// restFor is how long the service at rest is measured, which does some things every few seconds only.
const restFor = 10 * time.Second

// costBars are the CPU time that an operation may cost as judged, by its name.
func costBars() map[string]time.Duration {
	return map[string]time.Duration{
		"get":                140 * time.Microsecond,
		"list":               900 * time.Microsecond,
		"list, as one owner": 900 * time.Microsecond,
		"create":             480 * time.Microsecond,
		"report changed":     380 * time.Microsecond,
		"report unchanged":   200 * time.Microsecond,
	}
}

const lastPage = "list, last page by page_token"

func studyOperations(ctx context.Context, l *lab) (s section, err error) {
	r, err := l.rig(ctx, dosed(l, 400, studied), true)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return s, err
	}
	own, err := r.ownCreate(ctx)
	if err != nil {
		return s, err
	}
	last, err := r.lastPage(ctx)
	if err != nil {
		return s, err
	}
	b := l.bench(r)
	if err := b.measureRest(ctx, dosed(l, 50*time.Millisecond, restFor)); err != nil {
		return s, err
	}
	measure := dosed(l, b.measureOperation, b.measureBeside)
	all := operations(r.options.clusters)
	all = slices.Insert(all, 2, last) // Right after the first page.
	var creations []float64           // a second, of pgbench
	for _, op := range all {
		op.bar = costBars()[op.name]
		if l.options.short && op.name != "get" && op.name != "create" {
			continue // pgbench takes seconds, and all operations are in make bench's own test.
		}
		if op.name == "create" {
			if err := b.measureOwn(ctx, op, own, &creations); err != nil {
				return s, err
			}
		}
		if err := measure(ctx, op, connections); err != nil {
			return s, err
		}
		if op.name == "create" && !l.options.short {
			if err := b.measureOwn(ctx, op, own, &creations); err != nil {
				return s, err
			}
		}
	}
	return b.costs(creations), nil
}

// measureOwn runs the service's own statement in pgbench, as often as it is called. The operation is in between.
func (b *bench) measureOwn(ctx context.Context, op operation, own script, rates *[]float64) error {
	r, err := b.runScript(ctx, result{operation: op.name, subject: subjectOwn, connections: connections}, own)
	if err != nil {
		return err
	}
	b.baselines = append(b.baselines, r)
	b.say(r)
	*rates = append(*rates, r.perSecond())
	return b.rig.restore(ctx, b.rig.bareDB)
}

// lastPage walks to the end of the list of all, and returns the operation that reads the last full page again.
func (r *rig) lastPage(ctx context.Context) (operation, error) {
	const query = clustersPath + "?limit=50"
	page, token := query, ""
	for {
		var list v1.ClusterList
		if err := r.read(ctx, page, &list); err != nil {
			return operation{}, err
		}
		if list.NextPageToken == "" {
			break
		}
		token = list.NextPageToken
		page = query + "&page_token=" + url.QueryEscape(token)
	}
	if token == "" {
		return operation{}, errors.New("the list has one page only")
	}
	last := newRequest(http.MethodGet, page, admin, nil, http.StatusOK)
	last.rows = rowCheck{50, 50}
	return operation{name: lastPage, kind: kindList, next: one(func(*rand.Rand, int) request { return last })}, nil
}

// read gets a resource as the administrator.
func (r *rig) read(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.apiAddr+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("X-User-Email", admin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: answered %d", path, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// costs are the results as a section of the document.
func (b *bench) costs(creations []float64) section {
	s := section{Figures: []proof.Figure{
		proof.Measured("the service at rest uses", milliseconds(b.background.process), "ms of CPU a second"),
		proof.Measured("PostgreSQL then uses", milliseconds(b.background.postgres), "ms of CPU a second"),
	}}
	operations := table{Title: "The service:", Header: []string{
		"Operation", "/s", "p50 ms", "p99 ms", "CPU us", "service", "PostgreSQL", "WAL B", "x pgbench", "x bare", "slower", "judged", "rounds",
	}}
	byName := map[string]result{}
	for _, r := range b.results {
		byName[r.operation] = r
		operations.add(append(r.cells(), b.ratio(r, subjectPgbench), b.ratio(r, subjectBare), fmt.Sprintf("%.2f", r.slowness()),
			whole(r.judged()), fmt.Sprintf("%.0f to %.0f", r.least, r.most))...)
		if r.bar > 0 {
			s.Figures = append(s.Figures, proof.AtMost(r.operation+": CPU as judged", r.judged(), "us", float64(r.bar.Microseconds())))
		}
	}
	get, ofPgbench := byName["get"], byName["create"].perSecond()/mean(creations)
	s.Figures = append(s.Figures,
		proof.AtLeast("get: requests a second, by those of the bare handler", get.perSecond()/get.beside, "", 0.7),
		proof.AtLeast("create: requests a second, by what pgbench does of the service's own statement", ofPgbench, "", 0.5))
	if last, ok := byName[lastPage]; ok {
		s.Figures = append(s.Figures, proof.AtMost(
			"list: CPU of the last page as judged, by that of the first", last.judged()/byName["list"].judged(), "", 1.25))
	}
	floors := table{Title: "The least that could do the same:", Header: []string{
		"Baseline", "/s", "p50 ms", "p99 ms", "CPU us", "handler", "PostgreSQL", "WAL B",
	}}
	for _, r := range b.baselines {
		r.operation = r.subject + ", " + r.operation
		floors.add(r.cells()...)
	}
	s.Tables = []table{operations, floors}
	return s
}

// cells are the part of a table's row that all results have.
func (r result) cells() []any {
	return []any{
		r.operation, whole(r.perSecond()), ms(percentile(r.samples, 0.5)), ms(percentile(r.samples, 0.99)), whole(r.perOperation(r.used.cpu())),
		whole(r.perOperation(r.used.process)), whole(r.perOperation(r.used.postgres)), int(r.used.wal) / len(r.samples),
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// whole is a figure without what a measurement does not tell.
func whole(v float64) int { return int(math.Round(v)) }

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
