package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// mutant is a backend that breaks a promise: ours, behind a proxy that changes what goes through.
type mutant struct {
	// name says what is wrong with it.
	name string
	// breaks are the checks that must see it.
	breaks []string
	// on is the method and the path of the calls that it changes, a regular expression; "" for none.
	on string
	// asks changes a call before the backend gets it, answers what the backend answers. n counts the calls from 1.
	asks    func(n int, r *call)
	answers func(n int, a *answer)
	// tells changes what is published into what a subscriber gets.
	tells func(m message) []message
	// misses begins what the checks wait for in vain, because the mutant takes it away: an event; "" where they see it otherwise.
	misses string
	// kind is the one whose calls and events it changes alone; "" for both.
	kind models.Kind
}

// changes reports whether the mutant changes calls of a path.
func (m mutant) changes(path string) bool {
	return m.kind == "" || !regexp.MustCompile("^"+all+"(/|$)").MatchString(path) || strings.HasPrefix(path, inWords(m.kind).path)
}

// call is a request, with its body as JSON where it is an object.
type call struct {
	*http.Request

	text []byte
	body map[string]any
}

// answer is what comes back, with its body as JSON where it is an object.
type answer struct {
	*http.Response

	text []byte
	body map[string]any
}

// start serves the mutant of a backend until the test ends, and returns its address.
func (m mutant) start(t *testing.T, backend string) string {
	t.Helper()
	to, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	on := regexp.MustCompile("^(" + m.on + ")$")
	var mu sync.Mutex
	calls, answers := 0, 0
	concerns := func(r *http.Request) bool {
		return m.on != "" && on.MatchString(r.Method+" "+r.URL.Path) && m.changes(r.URL.Path)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			mu.Lock()
			defer mu.Unlock()
			if m.asks != nil && concerns(r.In) {
				calls++
				changeCall(r.Out, func(c *call) { m.asks(calls, c) })
			}
		},
		ModifyResponse: func(r *http.Response) error {
			mu.Lock()
			defer mu.Unlock()
			if m.answers != nil && concerns(r.Request) {
				answers++
				return changeAnswer(r, func(a *answer) { m.answers(answers, a) })
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

func changeCall(r *http.Request, change func(*call)) {
	c := &call{Request: r}
	if r.Body != nil {
		c.text, _ = io.ReadAll(r.Body)
	}
	_ = json.Unmarshal(c.text, &c.body)
	before := encoded(c.body)
	change(c)
	if !bytes.Equal(before, encoded(c.body)) {
		c.text = encoded(c.body)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(c.text)), int64(len(c.text))
}

func changeAnswer(r *http.Response, change func(*answer)) error {
	a := &answer{Response: r}
	var err error
	if a.text, err = io.ReadAll(r.Body); err != nil {
		return err
	}
	_ = json.Unmarshal(a.text, &a.body)
	before := encoded(a.body)
	change(a)
	if !bytes.Equal(before, encoded(a.body)) {
		a.text = encoded(a.body)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(a.text)), int64(len(a.text))
	r.Header.Set("Content-Length", strconv.Itoa(len(a.text)))
	return nil
}

func encoded(body map[string]any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return text
}

// through returns an observer whose messages the mutant has changed.
func (m mutant) through(observe observer) observer {
	if m.tells == nil {
		return observe
	}
	var mu sync.Mutex
	return func(ctx context.Context, kind models.Kind, ready func(), take func(pubsub.Message)) error {
		return observe(ctx, kind, ready, func(seen pubsub.Message) {
			mu.Lock()
			defer mu.Unlock()
			entry := message{Message: seen, kind: kind}
			if json.Unmarshal(seen.Data, &entry.event) != nil {
				return
			}
			if m.kind != "" && m.kind != kind {
				take(seen)
				return
			}
			before := entry.event
			for _, told := range m.tells(entry) {
				if told.event != before {
					data, err := json.Marshal(told.event)
					if err != nil {
						panic(err)
					}
					told.Data = data
				}
				take(told.Message)
			}
		})
	}
}

// What mutants do.

// at returns the object that holds the last step of a path, and that step.
func at(body map[string]any, path string) (map[string]any, string) {
	steps := strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		next, ok := body[step].(map[string]any)
		if !ok {
			return map[string]any{}, ""
		}
		body = next
	}
	return body, steps[len(steps)-1]
}

// without removes fields.
func without(paths ...string) func(int, *answer) {
	return func(_ int, a *answer) {
		for _, path := range paths {
			object, last := at(a.body, path)
			delete(object, last)
		}
	}
}

// showing sets a field where there is one.
func showing(path string, value any) func(int, *answer) {
	return func(_ int, a *answer) {
		if object, last := at(a.body, path); object[last] != nil {
			object[last] = value
		}
	}
}

// ofStatusCode answers another status.
func ofStatusCode(from, to int) func(int, *answer) {
	return func(_ int, a *answer) {
		if a.StatusCode == from {
			a.StatusCode = to
		}
	}
}

// withoutHeader drops a header of an answer.
func withoutHeader(name string) func(int, *answer) {
	return func(_ int, a *answer) { a.Header.Del(name) }
}

// ignoring has the backend not see a header, forgetting a field of the body, deaf a parameter of the query.
func ignoring(name string) func(int, *call) {
	return func(_ int, r *call) { r.Header.Del(name) }
}

func forgetting(paths ...string) func(int, *call) {
	return func(_ int, r *call) {
		for _, path := range paths {
			object, last := at(r.body, path)
			delete(object, last)
		}
	}
}

func deaf(names ...string) func(int, *call) {
	return func(_ int, r *call) {
		query := r.URL.Query()
		for _, name := range names {
			query.Del(name)
		}
		r.URL.RawQuery = query.Encode()
	}
}

// asking adds a parameter to the query.
func asking(name, value string) func(int, *call) {
	return func(_ int, r *call) {
		query := r.URL.Query()
		query.Set(name, value)
		r.URL.RawQuery = query.Encode()
	}
}

// believing takes a caller for another.
func believing(from, to string) func(int, *call) {
	return func(_ int, r *call) {
		if given := r.Header.Get("X-User-Email"); from == "*" || given == from || from == "others" && strings.HasPrefix(given, "other.") {
			r.Header.Set("X-User-Email", to)
		}
	}
}

// conditions changes each condition of an answer.
func conditions(a *answer, change func(c map[string]any)) {
	object, last := at(a.body, "status.conditions")
	list, _ := object[last].([]any)
	for _, entry := range list {
		if c, ok := entry.(map[string]any); ok {
			change(c)
		}
	}
}

// only drops events that are not as wanted.
func only(wanted func(message) bool) func(message) []message {
	return func(m message) []message {
		if wanted(m) {
			return []message{m}
		}
		return nil
	}
}

// each changes every event.
func each(change func(*message)) func(message) []message {
	return func(m message) []message {
		m.Attributes = maps.Clone(m.Attributes)
		change(&m)
		return []message{m}
	}
}
