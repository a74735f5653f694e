package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/pubsub"
	"github.com/cls-backend/cls-backend/test/wire"
)

// robots are how many controllers answer each event. Three are those of every fleet.
const robots = 8

// robotNames are the controllers of a cluster. The last one is who may have given up.
func robotNames(i int) []string {
	return append(controllers(i), "storage", "certificates", "ingress", "monitoring", "backup")
}

// robotReport is what a controller says of a cluster, always. The last one has given up on every so many.
func robotReport(i, slot, every int) v1.StatusReport {
	own := slot
	if slot >= len(controllers(i)) {
		own = 0
	}
	r := report(i, own)
	r.ControllerName = robotNames(i)[slot]
	if slot == robots-1 && i%every == every-1 {
		r.Conditions[1].Status, r.Conditions[1].Reason = v1.ConditionFalse, "NoBucket"
		r.LastError = &v1.ReportError{
			ErrorType: v1.ErrorConfiguration, ErrorCode: "BUCKET", Message: "the bucket does not exist", UserActionable: true,
		}
	}
	return r
}

// answering are the controllers at work: each event has all eight look at the cluster and report what they said before.
type answering struct {
	every       int
	connections chan *wire.Connection
	conn        *grpc.ClientConn
	stop        func() error
	began       time.Time

	mu       sync.Mutex
	reports  []sample       // of each PUT, from when it was sent
	answered []sample       // of each event, from when it was written until all eight had reported
	events   map[string]int // how often each was delivered
	refused  int            // answered 503
	failure  error          // the first wrong answer
}

// answerWith is how many connections the controllers have together.
const answerWith = 6 * robots

// startAnswering has the controllers take events from now on. Its owner ends them with end.
func (r *rig) startAnswering(ctx context.Context, every int) (a *answering, err error) {
	a = &answering{
		every: every, connections: make(chan *wire.Connection, answerWith), stop: func() error { return nil }, began: time.Now(),
		events: map[string]int{},
	}
	a.conn, err = grpc.NewClient(r.pubAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	for range answerWith {
		c, err := wire.Dial(ctx, r.apiAddr)
		if err != nil {
			return nil, errors.Join(err, a.end())
		}
		a.connections <- c
	}
	stop, err := pubsub.Subscribe(ctx, a.conn, "robots", false, a.handle)
	if err != nil {
		return nil, errors.Join(err, a.end())
	}
	a.stop = stop
	return a, nil
}

// end returns what went wrong, if anything.
func (a *answering) end() error {
	err := a.stop()
	close(a.connections)
	for c := range a.connections {
		_ = c.Close()
	}
	return errors.Join(err, a.conn.Close(), a.failure)
}

// handle answers an event. What the service refuses is delivered again.
func (a *answering) handle(_ context.Context, m *pb.PubsubMessage) error {
	var e v1.Event
	if err := json.Unmarshal(m.GetData(), &e); err != nil {
		return a.failed(err)
	}
	i, err := strconv.Atoi(strings.TrimPrefix(e.ClusterID, idPrefix))
	if err != nil || e.NodePoolID != "" {
		return a.failed(fmt.Errorf("event %s came, of cluster %q and node pool %q", e.ID, e.ClusterID, e.NodePoolID))
	}
	a.mu.Lock()
	a.events[e.ID]++
	a.mu.Unlock()
	var all errgroup.Group
	for slot := range robots {
		all.Go(func() error { return a.answer(i, slot) })
	}
	if err := all.Wait(); err != nil {
		return a.failed(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered = append(a.answered, sample{at: time.Since(a.began), took: time.Since(e.Timestamp)})
	return nil
}

// answer is what one controller does: it looks at the cluster, and reports.
func (a *answering) answer(i, slot int) error {
	c := <-a.connections
	defer func() { a.connections <- c }()
	look := newRequest(http.MethodGet, clusterPath(i), controller, nil, http.StatusOK)
	look.rows = rowCheck{1, 1}
	if err := do(c, look); err != nil {
		return err
	}
	text := encode(robotReport(i, slot, a.every))
	began := time.Now()
	if err := do(c, newRequest(http.MethodPut, clusterPath(i)+"/status", controller, text, http.StatusOK)); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reports = append(a.reports, sample{at: time.Since(a.began), took: time.Since(began)})
	return nil
}

// failed keeps what must not be, and counts what may.
func (a *answering) failed(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var wrong *answerError
	if errors.As(err, &wrong) && wrong.status == http.StatusServiceUnavailable {
		a.refused++
	} else if a.failure == nil {
		a.failure = err
	}
	return err
}

// between are the samples of a while, counted from its beginning.
func between(all []sample, from, to time.Duration) []sample {
	var list []sample
	for _, s := range all {
		if s.at >= from && s.at < to {
			list = append(list, sample{at: s.at - from, took: s.took})
		}
	}
	return list
}
