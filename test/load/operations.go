package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// kind says which bare statement an operation is compared with.
type kind string

const (
	kindGet    kind = "get"
	kindList   kind = "list"
	kindReport kind = "report"
	kindCreate kind = "create"
)

// operation is something to measure.
type operation struct {
	name string
	kind kind
	// bar is the CPU time that one may cost, service and PostgreSQL together; 0 for none.
	bar  time.Duration
	next source
	// writes says that it leaves work to be done after its answer, which counts, and
	// rows to be put back.
	writes bool
	// before is SQL that makes the rows what the operation is about, after SQL that undoes it.
	before, after string
}

// The bars of CPU time.
const (
	getBar    = 180 * time.Microsecond
	listBar   = 1500 * time.Microsecond
	createBar = 600 * time.Microsecond
	reportBar = 500 * time.Microsecond
)

// reached are the reports that a measurement can come to which goes from cluster to cluster. Others need not be prepared.
const reached = ` WHERE cluster_id < '` + idPrefix + `000000020000'`

// operations returns all there are, reads first: what writes changes the fleet. Reports
// that must equal the stored ones come before those that change them.
func operations(n int) []operation {
	const heard, unheard = `UPDATE controller_status SET updated_at = clock_timestamp()` + reached,
		`UPDATE controller_status SET updated_at = clock_timestamp() - interval '1 hour'` + reached
	all := []operation{{name: "get", kind: kindGet, bar: getBar, next: one(func(rng *rand.Rand, _ int) request { return get(rng.IntN(n)) })}}
	for _, l := range lists(n) {
		all = append(all, operation{name: l.name, kind: kindList, bar: listBar, next: one(l.next)})
	}
	// A full cycle takes longer than a measurement, so that no slot is heard twice in it.
	cycle := func(_ *rand.Rand, k int) request { return put(k%n, k/n%3, report(k%n, k/n%3)) }
	changed := func(rng *rand.Rand, k int) request { return changedReport(rng, n, k) }
	all = append(all,
		operation{name: "report unchanged", kind: kindReport, bar: reportBar, writes: true, before: heard, next: one(cycle)},
		operation{name: "report unchanged, heartbeat due", kind: kindReport, bar: reportBar, writes: true, before: unheard, next: one(cycle)},
		operation{name: "report changed", kind: kindReport, bar: reportBar, writes: true, next: one(changed)},
		operation{name: "report changed, moves", kind: kindReport, bar: reportBar, writes: true, next: one(func(rng *rand.Rand, k int) request {
			return movingReport(rng, n, k)
		})},
		getAfterReport("get after report (CPU of the pair)", 0, n),
		operation{
			name: "create", kind: kindCreate, bar: createBar, writes: true,
			next: one(func(_ *rand.Rand, k int) request { return create(k) }),
		},
	)
	return append(all, ofPools(n)...)
}

// ofPools are the operations on node pools, under the bars of those on clusters.
func ofPools(n int) []operation {
	list := func(query func(i int) url.Values) source {
		return one(func(rng *rand.Rand, _ int) request {
			q := query(rng.IntN(n))
			q.Set("limit", "50")
			r := newRequest(http.MethodGet, poolsPath+"?"+q.Encode(), admin, nil, http.StatusOK)
			r.rows = rowCheck{1, 50}
			return r
		})
	}
	return []operation{
		{name: "node pool: get", kind: kindGet, bar: getBar, next: one(func(rng *rand.Rand, _ int) request {
			i := rng.IntN(n)
			return getFrom(poolPath(i), i)
		})},
		{name: "node pool: list", kind: kindList, bar: listBar, next: list(func(int) url.Values { return url.Values{} })},
		{name: "node pool: list of a cluster", kind: kindList, bar: listBar, next: list(func(i int) url.Values {
			return url.Values{"cluster_id": {clusterID(i)}}
		})},
		{name: "node pool: report unchanged", kind: kindReport, bar: reportBar, writes: true, next: one(func(_ *rand.Rand, k int) request {
			return putTo(poolPath(k%n), k%n, k/n%3, report(k%n, k/n%3))
		})},
		{name: "node pool: report changed", kind: kindReport, bar: reportBar, writes: true, next: one(func(rng *rand.Rand, k int) request {
			i, slot := rng.IntN(n), rng.IntN(3)
			return putTo(poolPath(i), i, slot, reworded(report(i, slot), k))
		})},
		{name: "node pool: create", kind: kindCreate, bar: createBar, writes: true, next: one(func(rng *rand.Rand, k int) request {
			i := rng.IntN(n)
			return createIn(i, k)
		})},
	}
}

// idle are the operations whose latency counts while nothing else happens.
func idle(n int) []operation {
	return []operation{
		{name: "get", bar: time.Millisecond, next: one(func(rng *rand.Rand, _ int) request { return get(rng.IntN(n)) })},
		getAfterReport("get after report", 2*time.Millisecond, n),
	}
}

// one makes a source of operations of one request.
func one(next func(*rand.Rand, int) request) source {
	return func(rng *rand.Rand, k int) []request { return []request{next(rng, k)} }
}

const (
	clustersPath = "/api/v1/clusters"
	poolsPath    = "/api/v1/nodepools"
)

func clusterPath(i int) string { return clustersPath + "/" + clusterID(i) }
func poolPath(i int) string    { return poolsPath + "/" + poolID(i) }

func get(i int) request { return getFrom(clusterPath(i), i) }

func getFrom(path string, i int) request {
	r := newRequest(http.MethodGet, path, owner(i), nil, http.StatusOK)
	r.rows = rowCheck{1, 1}
	return r
}

type listing struct {
	name string
	next func(*rand.Rand, int) request
}

// lists are those of 50 clusters, newest first, without a filter and with each. In a
// fleet of full size every one of them finds a full page.
func lists(n int) []listing {
	page := rowCheck{least: min(50, n/200), most: 50}
	by := func(name, user string, query func(i int) url.Values) listing {
		return listing{name, func(rng *rand.Rand, _ int) request {
			i := rng.IntN(n)
			q := query(i)
			q.Set("limit", "50")
			caller := user
			if caller == "" {
				caller = owner(i)
			}
			r := newRequest(http.MethodGet, clustersPath+"?"+q.Encode(), caller, nil, http.StatusOK)
			r.rows = page
			return r
		}}
	}
	filter := func(name string, value func(i int) string) func(int) url.Values {
		return func(i int) url.Values { return url.Values{name: {value(i)}} }
	}
	return []listing{
		by("list", admin, func(int) url.Values { return url.Values{} }),
		by("list, as one owner", "", func(int) url.Values { return url.Values{} }),
		by("list status=Ready", admin, filter("status", func(int) string { return string(v1.PhaseReady) })),
		by("list status=Failed", admin, filter("status", func(int) string { return string(v1.PhaseFailed) })),
		by("list platform", admin, filter("platform", platform)),
		by("list name", admin, filter("name", clusterName)),
		by("list label_selector, 1/3 match", admin, filter("label_selector", func(i int) string { return "env=" + environment(i) })),
		by("list label_selector, 1/100 match", admin, filter("label_selector", func(i int) string { return "cost-center=" + costCenter(i) })),
		by("list created_by", admin, filter("created_by", owner)),
	}
}

// put is a controller's report on a cluster.
func put(i, slot int, r v1.StatusReport) request { return putTo(clusterPath(i), i, slot, r) }

func putTo(path string, i, slot int, r v1.StatusReport) request {
	r.ControllerName = controllers(i)[slot]
	return newRequest(http.MethodPut, path+"/status", controller, encode(r), http.StatusOK)
}

// changedReport says something new that nobody needs to be woken for.
func changedReport(rng *rand.Rand, n, k int) request {
	i, slot := rng.IntN(n), rng.IntN(3)
	return put(i, slot, reworded(report(i, slot), k))
}

func reworded(r v1.StatusReport, k int) v1.StatusReport {
	r.Conditions[0].Message = fmt.Sprintf("applied for the time number %d", k)
	return r
}

// movingReport says something new that wakes the controllers.
func movingReport(rng *rand.Rand, n, k int) request {
	i, slot := rng.IntN(n), rng.IntN(3)
	r := report(i, slot)
	r.Conditions[0].Reason = fmt.Sprintf("Applied%d", k)
	return put(i, slot, r)
}

// getAfterReport makes a status stale and reads it. The read is timed. For the status to depend on
// the report, the one before it has to have said something else that counts: that it has failed.
func getAfterReport(name string, bar time.Duration, n int) operation {
	const slot, first = 0, `UPDATE controller_status SET failed = %t` + reached + ` AND controller_name = 'dns'`
	var count atomic.Int64 // goes on after the warm-up, so that each report is the first on its cluster
	return operation{
		name: name, kind: kindReport, bar: bar, writes: true, before: fmt.Sprintf(first, true), after: fmt.Sprintf(first, false),
		next: func(*rand.Rand, int) []request {
			k := int(count.Add(1))
			r := report(k%n, slot)
			r.Conditions[0].Message = fmt.Sprintf("applied before the read number %d", k)
			return []request{put(k%n, slot, r), get(k % n)}
		},
	}
}

// create makes a cluster. The time keeps names apart between runs: a name is unique to its owner.
func create(k int) request { return createNamed(fmt.Sprintf("new-%d-%d", time.Now().UnixNano(), k), k) }

func createNamed(name string, k int) request {
	body := v1.CreateCluster{Name: name, Labels: labels(k), Spec: v1.Object(spec(k))}
	r := newRequest(http.MethodPost, clustersPath, newcomer, encode(body), http.StatusCreated)
	r.rows = rowCheck{1, 1}
	return r
}

// createIn makes a node pool in a cluster, for its owner.
func createIn(i, k int) request {
	body := v1.CreateNodePool{
		ClusterID: clusterID(i), Name: fmt.Sprintf("new-%d-%d", time.Now().UnixNano(), k), Labels: labels(k), Spec: v1.Object(spec(k)),
	}
	r := newRequest(http.MethodPost, poolsPath, owner(i), encode(body), http.StatusCreated)
	r.rows = rowCheck{1, 1}
	return r
}

// encode cannot fail on the wire types, which hold strings, numbers and valid JSON.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("load: encode a body: " + err.Error())
	}
	return text
}
