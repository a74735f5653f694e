package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/test/fault/history"
)

// record is what is written down while a run goes on. It is safe for concurrent use.
type record struct {
	mu   sync.Mutex
	h    history.History
	seen map[string]bool // the events that the subscriber was given
}

func newRecord() *record { return &record{seen: map[string]bool{}} }

func (r *record) add(c history.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Calls = append(r.h.Calls, c)
}

func (r *record) recover(of history.Recovery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Recoveries = append(r.h.Recoveries, of)
}

// crash is for when PostgreSQL has died.
func (r *record) crash() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Crashed = true
}

func (r *record) leave(l history.Leftover) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Leftovers = append(r.h.Leftovers, l)
}

// deliver writes down an event as the subscriber is given it.
func (r *record) deliver(_ context.Context, m *pb.PubsubMessage) error {
	var e v1.Event
	if err := json.Unmarshal(m.GetData(), &e); err != nil {
		return err
	}
	d := history.Delivery{
		At: time.Now(), EventID: e.ID, Type: e.Type, ResourceID: e.ClusterID, Generation: e.Generation, Reason: e.Reason,
		Body: digest(m.GetData()),
	}
	if e.NodePoolID != "" {
		d.ResourceID = e.NodePoolID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Deliveries = append(r.h.Deliveries, d)
	r.seen[e.ID] = true
	return nil
}

// delivered reports whether the subscriber was given all of the events.
func (r *record) delivered(events []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(events, func(id string) bool { return !r.seen[id] })
}

// calls returns those that ended from a moment on, and what they were.
func (r *record) calls(since time.Time) []history.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.h.Calls)
	return slices.DeleteFunc(list, func(c history.Call) bool { return c.End.Before(since) })
}

// history is everything, in its order.
func (r *record) history() history.History {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.h.Calls, func(a, b history.Call) int { return a.End.Compare(b.End) })
	return r.h
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// door is a client's way to the service: it takes each request to a replica that is ready, in turn, as a load balancer
// does, and writes down what becomes of it.
type door struct {
	w      *world
	client string
}

var errNobody = errors.New("no replica is ready")

// callLimit is how long a client waits for an answer, unless it is a patient one.
const callLimit = 5 * time.Second

// client returns one of the service's, of the public package, that calls as somebody.
func (w *world) client(name, identity string) *client.Client {
	return w.clientWithin(name, identity, callLimit)
}

// clientWithin is client with a limit for the wait for an answer.
func (w *world) clientWithin(name, identity string, limit time.Duration) *client.Client {
	c, err := client.New("http://fault", client.Options{
		Identity: identity, HTTP: &http.Client{Transport: &door{w: w, client: name}, Timeout: limit},
		Retry: client.Retry{Attempts: 3, FirstPause: 20 * time.Millisecond, LongestPause: time.Second},
	})
	if err != nil { // The address is right.
		panic("fault: " + err.Error())
	}
	return c
}

// pick returns the next replica that is ready, with where it listens; nil when there is none.
func (w *world) pick() (*replica, string) {
	for range w.replicas {
		r := w.replicas[w.next.Add(1)%uint64(len(w.replicas))]
		if p := r.process(); p != nil && r.ready.Load() && !p.ended() {
			return r, p.api
		}
	}
	return nil, ""
}

// RoundTrip implements [http.RoundTripper].
func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	r, at := d.w.pick()
	if r == nil {
		d.w.nobody.Add(1)
		return nil, errNobody
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	out := req.Clone(req.Context())
	out.URL.Host = at
	out.Body, out.GetBody = io.NopCloser(bytes.NewReader(body)), nil // Nobody but us repeats it.
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	c, known := describe(req, body)
	c.Client, c.Replica, c.Start = d.client, r.name, time.Now()
	resp, text, err := d.send(out)
	c.End = time.Now()
	if err != nil {
		r.ready.Store(false) // Until somebody has looked again.
	} else {
		answer(&c, resp, text)
	}
	if known {
		d.w.record.add(c)
	}
	return resp, err
}

// send makes the request and reads the whole answer.
func (d *door) send(req *http.Request) (*http.Response, []byte, error) {
	resp, err := d.w.transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, text, nil
}

// describe says what a request asks for; false for what has no place in a history.
func describe(req *http.Request, body []byte) (c history.Call, known bool) {
	parts := strings.Split(strings.TrimPrefix(req.URL.Path, "/api/v1/"), "/")
	c.Kind = strings.TrimSuffix(parts[0], "s")
	if c.Kind != "cluster" && c.Kind != "nodepool" {
		return c, false
	}
	what := ""
	if len(parts) > 1 {
		c.ResourceID = parts[1]
	}
	if len(parts) > 2 {
		what = parts[2]
	}
	c.Op = map[string]string{
		"POST ": history.OpCreate, "GET ": history.OpGet, "PUT ": history.OpUpdate, "PATCH ": history.OpPatch, "DELETE ": history.OpDelete,
		"GET status": history.OpStatus, "PUT status": history.OpReport,
	}[req.Method+" "+what]
	switch {
	case c.Op == "":
		return c, false
	case c.Op == history.OpGet && c.ResourceID == "":
		c.Op = history.OpList
	case c.Op == history.OpDelete && req.URL.Query().Get("force") == "true":
		c.Op = history.OpForce
	}
	c.Key, c.IfMatch = req.Header.Get("Idempotency-Key"), req.Header.Get("If-Match")
	describeBody(&c, body)
	return c, true
}

func describeBody(c *history.Call, body []byte) {
	var asked struct {
		Spec struct {
			Mark     string `json:"mark"`
			Platform struct {
				Type string `json:"type"`
			} `json:"platform"`
		} `json:"spec"`
		ControllerName     string                 `json:"controller_name"`
		ObservedGeneration int64                  `json:"observed_generation"`
		Conditions         []v1.ReportedCondition `json:"conditions"`
	}
	_ = json.Unmarshal(body, &asked) // There may be none.
	c.Platform, c.Mark = asked.Spec.Platform.Type, asked.Spec.Mark
	if c.Op == history.OpReport {
		c.Controller, c.Observed, c.Finalized = asked.ControllerName, asked.ObservedGeneration, says(asked.Conditions, v1.ConditionFinalized)
	}
}

func says(list []v1.ReportedCondition, condition string) bool {
	return slices.ContainsFunc(list, func(r v1.ReportedCondition) bool { return r.Type == condition && r.Status == v1.ConditionTrue })
}

// answer adds what came back.
func answer(c *history.Call, resp *http.Response, text []byte) {
	c.Status, c.ETag = resp.StatusCode, resp.Header.Get("ETag")
	var said struct {
		ID               string                `json:"id"`
		Code             string                `json:"code"`
		Generation       int64                 `json:"generation"`
		Applied          bool                  `json:"applied"`
		Status           json.RawMessage       `json:"status"`
		ControllerStatus []v1.ControllerStatus `json:"controller_status"`
	}
	_ = json.Unmarshal(text, &said) // It may be of another shape.
	c.Code, c.Applied = said.Code, said.Applied
	if !c.OK() {
		return
	}
	c.Generation = said.Generation
	switch c.Op {
	case history.OpCreate:
		c.ResourceID, c.Body = said.ID, digest(text)
	case history.OpGet, history.OpStatus:
		var status v1.Status
		_ = json.Unmarshal(said.Status, &status) // It is one.
		c.Phase, c.Ready = string(status.Phase), status.Phase == v1.PhaseReady
		for _, r := range said.ControllerStatus {
			c.Controllers = append(c.Controllers, history.Reported{
				Name: r.ControllerName, Observed: r.ObservedGeneration, Available: says(r.Conditions, v1.ConditionAvailable),
			})
		}
	}
}
