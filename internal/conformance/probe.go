package conformance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// The paths that checks call.
const (
	clusters    = "/api/v1/clusters"
	nodePools   = "/api/v1/nodepools"
	controllers = "/api/v1/controllers"
)

// probe is one check under way.
//
// Its methods fail the check as those of a test do: they note what was expected and what was seen, and end the
// goroutine, so that a check reads as the steps that it takes. They are called from the check's own goroutine; the
// clients of the callers may be used from others.
type probe struct {
	*world

	// user owns what is made; other is a second user, and nobody names none.
	user, robot, admin, other, nobody caller

	result Result

	mu sync.Mutex // of what follows
	// last is the latest request, for people.
	last string
	// made are the paths of what has been made: clusters, and entries of the registry.
	made []string
}

// A check, and the removal of what it has made, are given up after a while: a backend may hang.
const (
	checkLimit   = 45 * time.Second
	cleanUpLimit = 20 * time.Second
)

// judge runs a check and removes what it has made.
func (w *world) judge(ctx context.Context, c Check) Result {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	p := &probe{world: w, result: Result{Check: c}}
	p.user, p.robot, p.admin = p.caller(w.User), p.caller(w.Controller), p.caller(w.Admin)
	p.other, p.nobody = p.caller(w.Other), p.caller("")
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		if c.readsEvents() && w.journal == nil {
			p.skip("no Pub/Sub is named")
		}
		c.run(limited, p)
	}()
	<-done
	p.result.Took = time.Since(began)
	p.cleanUp(context.WithoutCancel(ctx))
	return p.result
}

// fail ends the check.
func (p *probe) fail(expected, seen string) {
	p.mu.Lock()
	p.result.Failure = &Failure{Request: p.last, Expected: expected, Seen: cmp.Or(seen, "nothing")}
	p.mu.Unlock()
	runtime.Goexit()
}

// skip ends the check without a finding.
func (p *probe) skip(why string) {
	p.result.Skipped = why
	runtime.Goexit()
}

// expect fails unless what was seen is as it should be.
func (p *probe) expect(ok bool, expected string, seen any) {
	if !ok {
		p.fail(expected, text(seen))
	}
}

// text is anything as JSON, a string without its quotes.
func text(seen any) string {
	out, err := json.Marshal(seen)
	if err != nil {
		return fmt.Sprint(seen)
	}
	var s string
	if json.Unmarshal(out, &s) == nil && string(out) != "null" {
		return s
	}
	return string(out)
}

// got returns what a call was answered with; a call that failed fails the check.
func got[T any](p *probe) func(T, error) T {
	return func(answer T, err error) T {
		p.must(err)
		return answer
	}
}

func (p *probe) must(err error) {
	if err != nil {
		p.fail("success", err.Error())
	}
}

// name is one that nothing else has.
func (p *probe) name() string { return fmt.Sprintf("conformance-%s-%d", p.id, p.named.Add(1)) }

// controller is the name of a controller. Those of letters are known by their reports alone; a check that registers one
// takes a word of its own.
func (p *probe) controller(word string) string { return p.prefix + "-" + word }

// spec returns the JSON of a spec of the run's platform, with more fields, such as "n":1.
func (p *probe) spec(more ...string) v1.Object {
	return v1.Object(`{"platform":{"type":"` + p.platform + `"}` + strings.Join(append([]string{""}, more...), ",") + `}`)
}

// cluster makes one of the user's.
func (p *probe) cluster(ctx context.Context, more ...string) v1.Cluster {
	return got[v1.Cluster](p)(p.user.CreateCluster(ctx, v1.CreateCluster{Name: p.name(), Spec: p.spec(more...)}))
}

// look returns a cluster as its user sees it.
func (p *probe) look(ctx context.Context, id string) v1.Cluster {
	return got[v1.Cluster](p)(p.user.GetCluster(ctx, id))
}

// says is a report whose condition Available has a status.
func says(controller string, generation int64, available v1.ConditionStatus) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: controller, ObservedGeneration: generation,
		Conditions: []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: available, Reason: "Checked"}},
	}
}

// report sends one on a cluster, which must be applied.
func (p *probe) report(ctx context.Context, id string, r v1.StatusReport) {
	result := got[v1.ReportResult](p)(p.robot.ReportClusterStatus(ctx, id, r))
	p.expect(result.Applied, "a report that is applied", result)
}

// phase expects one of a cluster, with its reason, and returns the cluster.
func (p *probe) phase(ctx context.Context, id string, phase v1.Phase, reason string) v1.Cluster {
	c := p.look(ctx, id)
	p.expect(c.Status.Phase == phase && c.Status.Reason == reason, "phase "+string(phase)+", reason "+reason, c.Status)
	return c
}

// condition expects a condition of a status to have a status, and returns it.
func (p *probe) condition(s v1.Status, kind string, status v1.ConditionStatus) v1.Condition {
	at := slices.IndexFunc(s.Conditions, func(c v1.Condition) bool { return c.Type == kind })
	p.expect(at >= 0 && s.Conditions[max(at, 0)].Status == status, "condition "+kind+"="+string(status), s.Conditions)
	return s.Conditions[at]
}

// gone expects a cluster to be found no more.
func (p *probe) gone(ctx context.Context, id string) {
	p.user.get(ctx, clusters+"/"+id).refused(v1.CodeNotFound, "")
}

// caller is somebody who makes calls: by the client, or by send where what goes over the wire matters.
type caller struct {
	*client.Client

	p    *probe
	as   string
	http *http.Client
}

func (p *probe) caller(as string) caller {
	c := caller{p: p, as: as, http: &http.Client{
		Timeout:       p.RequestTimeout,
		Transport:     &witness{p, as},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.Client, _ = client.New(p.URL, client.Options{ // Its address has been judged.
		Identity: as, HTTP: c.http, UserAgent: "cls-conformance", Retry: client.Retry{Attempts: 1},
	})
	return c
}

// witness notes each request, and what it has made.
type witness struct {
	p  *probe
	as string
}

// RoundTrip implements [http.RoundTripper].
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.GetBody != nil {
		if copied, err := r.GetBody(); err == nil {
			start, _ := io.ReadAll(io.LimitReader(copied, 400))
			body = string(bytes.TrimSpace(start))
		}
	}
	w.p.mu.Lock()
	w.p.last = strings.TrimSpace(fmt.Sprintf("%s %s as %s %s", r.Method, r.URL.RequestURI(), cmp.Or(w.as, "nobody"), body))
	w.p.mu.Unlock()
	if token := cmp.Or(w.p.Tokens[w.as], w.p.Tokens[""]); token != "" {
		r = r.Clone(r.Context()) // It is not ours to change.
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := w.p.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if resp.StatusCode/100 == 2 && r.URL.Query().Get("dry_run") == "" {
		w.made(r, answer)
	}
	return resp, nil
}

func (w *witness) made(r *http.Request, answer []byte) {
	path := r.URL.EscapedPath()
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	switch at := strings.Index(path, "/api/v1/"); {
	case at < 0:
	case r.Method == http.MethodPost && path[at:] == clusters:
		var c v1.Cluster
		if json.Unmarshal(answer, &c) == nil {
			w.p.made = append(w.p.made, clusters+"/"+c.ID)
		}
	case r.Method == http.MethodPut && strings.HasPrefix(path[at:], controllers+"/"):
		w.p.made = append(w.p.made, path[at:])
	}
}

// cleanUp removes what has been made, the latest first.
func (p *probe) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cleanUpLimit)
	defer cancel()
	for _, path := range slices.Backward(p.made) {
		if !p.remove(ctx, path) {
			p.result.Left = append(p.result.Left, path)
		}
	}
}

// remove reports whether something is gone. A cluster that is held goes by the second call, which is forced then.
func (p *probe) remove(ctx context.Context, path string) bool {
	by, query := p.user, "?force=true&reason=conformance"
	if strings.HasPrefix(path, controllers) {
		by, query = p.robot, ""
	}
	for range 4 {
		r, err := by.try(ctx, http.MethodDelete, path+query, "")
		if err != nil {
			return false
		}
		switch r.status {
		case http.StatusNotFound, http.StatusNoContent:
			return true
		case http.StatusConflict: // It is protected.
			if _, err := by.try(ctx, http.MethodPatch, path, `{"deletion_protection":false}`); err != nil {
				return false
			}
		}
	}
	return false
}

// send makes a call; headers are names and values by turns. The body, if there is one, is JSON unless a header says otherwise.
func (c caller) send(ctx context.Context, method, path, body string, headers ...string) reply {
	r, err := c.try(ctx, method, path, body, headers...)
	if err != nil {
		c.p.fail("an answer", err.Error())
	}
	return r
}

func (c caller) try(ctx context.Context, method, path, body string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Address()+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.as != "" {
		req.Header.Set("X-User-Email", c.as)
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return reply{p: c.p, status: resp.StatusCode, header: resp.Header, body: answer}, err
}

func (c caller) get(ctx context.Context, path string, headers ...string) reply {
	return c.send(ctx, http.MethodGet, path, "", headers...)
}

// list asks for clusters; the query is names and values by turns.
func (c caller) list(ctx context.Context, query ...string) reply {
	values := url.Values{}
	for pair := range slices.Chunk(query, 2) {
		values.Add(pair[0], pair[1])
	}
	return c.get(ctx, clusters+"?"+values.Encode())
}

func (c caller) post(ctx context.Context, path, body string, headers ...string) reply {
	return c.send(ctx, http.MethodPost, path, body, headers...)
}

func (c caller) put(ctx context.Context, path, body string, headers ...string) reply {
	return c.send(ctx, http.MethodPut, path, body, headers...)
}

func (c caller) patch(ctx context.Context, path, body string, headers ...string) reply {
	return c.send(ctx, http.MethodPatch, path, body, headers...)
}

func (c caller) remove(ctx context.Context, path string) reply {
	return c.send(ctx, http.MethodDelete, path, "")
}

// refuses expects a call of the client's to have been refused with a code.
func (p *probe) refuses(err error, code v1.Code) {
	e, ok := errors.AsType[*client.Error](err)
	p.expect(ok && e.Code == code, "a refusal with "+string(code), fmt.Sprint(err))
}
