package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// network answers requests without one, so that its time can be a bubble's.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

func answer(status int, body string, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func refuse(code v1.Code) string {
	return fmt.Sprintf(`{"error":"no","message":"no","code":%q,"request_id":"r-1","details":{"field":"spec","errors":[]}}`, code)
}

func on(t *testing.T, n network, o client.Options) *client.Client {
	t.Helper()
	o.HTTP = &http.Client{Transport: n}
	return want[*client.Client](t)(client.New("http://cls.example/base/", o))
}

// TestEveryCodeComesBack holds the vocabulary of the client against the service's.
func TestEveryCodeComesBack(t *testing.T) {
	t.Parallel()
	all := map[v1.Code]error{
		v1.CodeInvalidJSON: client.ErrInvalidJSON, v1.CodeInvalidField: client.ErrInvalidField, v1.CodeInvalidID: client.ErrInvalidID,
		v1.CodeInvalidQuery: client.ErrInvalidQuery, v1.CodeInvalidPageToken: client.ErrInvalidPageToken,
		v1.CodeAmbiguousIdentity: client.ErrAmbiguousIdentity, v1.CodeAuthRequired: client.ErrAuthRequired,
		v1.CodeInvalidEmail: client.ErrInvalidEmail, v1.CodeUntrustedProxy: client.ErrUntrustedProxy, v1.CodeForbidden: client.ErrForbidden,
		v1.CodeNotFound: client.ErrNotFound, v1.CodeMethodNotAllowed: client.ErrMethodNotAllowed, v1.CodeBodyTooLarge: client.ErrBodyTooLarge,
		v1.CodeUnsupportedMediaType: client.ErrUnsupportedMediaType, v1.CodeClusterNameExists: client.ErrClusterNameExists,
		v1.CodeNodePoolNameExists: client.ErrNodePoolNameExists, v1.CodeGenerationConflict: client.ErrGenerationConflict,
		v1.CodeClusterDeleting: client.ErrClusterDeleting, v1.CodeDeletionProtected: client.ErrDeletionProtected,
		v1.CodeRequestInFlight: client.ErrRequestInFlight, v1.CodePreconditionFailed: client.ErrPreconditionFailed,
		v1.CodeIdempotencyKeyReused: client.ErrIdempotencyKeyReused, v1.CodeInternal: client.ErrInternal, v1.CodeUnavailable: client.ErrUnavailable,
	}
	if !slices.Equal(slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(v1.Codes()))) {
		t.Errorf("the service has %v", slices.Sorted(maps.Keys(v1.Codes())))
	}
	for code, want := range all {
		c := on(t, func(*http.Request) (*http.Response, error) {
			return answer(code.HTTPStatus(), refuse(code), "X-Request-ID", "r-1"), nil
		}, client.Options{Retry: client.Retry{Attempts: 1}})
		_, err := c.GetCluster(t.Context(), "c")
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !errors.Is(err, want) || e.Status != code.HTTPStatus() || e.RequestID != "r-1" || e.Details.Field != "spec" {
			t.Errorf("%s: %#v", code, err)
		}
		for other, not := range all {
			if other != code && errors.Is(err, not) {
				t.Errorf("%s is also %s", code, other)
			}
		}
	}
}

// TestAGatewayThatLimits answers 429 in words of its own, or in the service's.
func TestAGatewayThatLimits(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "slow down", `{"error":{"code":429}}`, refuse("RATE_LIMITED"), refuse("QUOTA")} {
		c := on(t, func(*http.Request) (*http.Response, error) { return answer(429, body), nil }, client.Options{Retry: client.Retry{Attempts: 1}})
		_, err := c.GetCluster(t.Context(), "c")
		if !errors.Is(err, client.ErrRateLimited) || errors.Is(err, client.ErrUnavailable) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// TestWhatGoesOverTheWire looks at a request.
func TestWhatGoesOverTheWire(t *testing.T) {
	t.Parallel()
	var got *http.Request
	c := on(t, func(r *http.Request) (*http.Response, error) {
		got = r
		return answer(201, `{"id":"x"}`), nil
	}, client.Options{
		Identity: "a@example.com", UserAgent: "me/1", Header: http.Header{"x-team": {"blue"}, "user-agent": {"nobody"}},
		Token: func(context.Context) (string, error) { return "secret", nil },
	})
	want[v1.Cluster](t)(c.CreateCluster(t.Context(), v1.CreateCluster{Name: "x"}, client.IdempotencyKey("k"), client.DryRun()))
	if got.URL.String() != "http://cls.example/base/api/v1/clusters?dry_run=true" || got.Method != http.MethodPost {
		t.Errorf("%s %s", got.Method, got.URL)
	}
	for name, value := range map[string]string{
		"X-User-Email": "a@example.com", "User-Agent": "me/1", "X-Team": "blue", "Authorization": "Bearer secret",
		"Idempotency-Key": "k", "Content-Type": "application/json", "Accept": "application/json",
	} {
		if got.Header.Get(name) != value {
			t.Errorf("%s is %q", name, got.Header.Get(name))
		}
	}
	want[v1.Controller](t)(c.GetController(t.Context(), "a/b ?"))
	if got.URL.EscapedPath() != "/base/api/v1/controllers/a%2Fb%20%3F" {
		t.Errorf("a name is sent as %s", got.URL.EscapedPath())
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "cls.example", "ftp://cls.example", "http://", "http://x/?a=b", "http://me:secret@x", "http://x/#y", "http://[::1"} {
		if _, err := client.New(address, client.Options{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestWhatIsRepeated counts the tries of each call under each kind of failure.
func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	get := func(ctx context.Context, c *client.Client) error {
		_, err := c.GetCluster(ctx, "c")
		return err
	}
	keyed := func(ctx context.Context, c *client.Client) error {
		_, err := c.CreateCluster(ctx, v1.CreateCluster{}, client.IdempotencyKey("k"))
		return err
	}
	bare := func(ctx context.Context, c *client.Client) error {
		_, err := c.CreateCluster(ctx, v1.CreateCluster{})
		return err
	}
	report := func(ctx context.Context, c *client.Client) error {
		_, err := c.ReportClusterStatus(ctx, "c", v1.StatusReport{})
		return err
	}
	cut := func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
	says := func(status int, body string, header ...string) network {
		return func(*http.Request) (*http.Response, error) { return answer(status, body, header...), nil }
	}
	for _, c := range []struct {
		why    string
		call   func(context.Context, *client.Client) error
		fails  network
		tries  int
		atMost time.Duration
		least  time.Duration
	}{
		{"a read bears it", get, cut, 5, 1500 * time.Millisecond, 750 * time.Millisecond},
		{"a keyed creation bears it", keyed, cut, 5, 1500 * time.Millisecond, 750 * time.Millisecond},
		{"a report bears it", report, says(503, refuse(v1.CodeUnavailable)), 5, 1500 * time.Millisecond, 750 * time.Millisecond},
		{"a creation without a key might create twice", bare, cut, 1, 0, 0},
		{"nor is it known what a proxy has seen", bare, says(502, "<html>"), 1, 0, 0},
		{"a read through a proxy", get, says(502, "<html>"), 5, 1500 * time.Millisecond, 750 * time.Millisecond},
		{"another call with the key is under way", keyed, says(409, refuse(v1.CodeRequestInFlight), "Retry-After", "1"), 5, 4 * time.Second, 4 * time.Second},
		{"it is said when to come again", get, says(429, `{}`, "Retry-After", "30"), 5, 2 * time.Minute, 2 * time.Minute},
		{"a refusal stays one", get, says(404, refuse(v1.CodeNotFound)), 1, 0, 0},
		{"a fault of the service may have done it all", keyed, says(500, refuse(v1.CodeInternal)), 1, 0, 0},
		{"an answer that is none", get, says(200, `<html>`), 1, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries, began := 0, time.Now()
			err := c.call(t.Context(), on(t, func(r *http.Request) (*http.Response, error) {
				tries++
				return c.fails(r)
			}, client.Options{}))
			if took := time.Since(began); err == nil || tries != c.tries || took > c.atMost || took < c.least {
				t.Errorf("%s: %d tries in %v, %v", c.why, tries, took, err)
			}
		})
	}
}

// TestARepetitionSucceeds sends the whole body each time.
func TestARepetitionSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		c := on(t, func(r *http.Request) (*http.Response, error) {
			text, _ := io.ReadAll(r.Body)
			if bodies = append(bodies, string(text)); len(bodies) < 3 {
				return answer(503, "", "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)), nil
			}
			return answer(201, `{"id":"x"}`), nil
		}, client.Options{})
		began := time.Now()
		created := want[v1.Cluster](t)(c.CreateCluster(t.Context(), v1.CreateCluster{Name: "x"}, client.IdempotencyKey("k")))
		if len(bodies) != 3 || created.ID != "x" || bodies[0] != bodies[2] || !strings.Contains(bodies[2], `"name":"x"`) {
			t.Errorf("%+v after %q", created, bodies)
		}
		if took := time.Since(began); took < 2*time.Minute-2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestNoPauseOutlivesItsContext ends at once when there is no time left for another try.
func TestNoPauseOutlivesItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c := on(t, func(*http.Request) (*http.Response, error) { return answer(503, "", "Retry-After", "60"), nil }, client.Options{})
		began := time.Now()
		if _, err := c.GetCluster(ctx, "c"); !errors.Is(err, client.ErrUnavailable) || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(70*time.Second, cancel)
		if _, err := c.GetCluster(ctx, "c"); !errors.Is(err, client.ErrUnavailable) || time.Since(began) != 70*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// statuses answers with one after the other, and then with the last.
func statuses(of ...string) network {
	n := 0
	return func(*http.Request) (*http.Response, error) {
		body := of[min(n, len(of)-1)]
		if n++; body == "" {
			return answer(503, ""), nil
		}
		return answer(200, body), nil
	}
}

func state(generation, observed int64, phase v1.Phase, ready v1.ConditionStatus) string {
	return fmt.Sprintf(`{"generation":%d,"status":{"phase":%q,"message":"as %s","conditions":[{"type":"Ready","status":%q,"observedGeneration":%d}]}}`,
		generation, phase, phase, ready, observed)
}

func TestWaits(t *testing.T) {
	t.Parallel()
	ready := client.Condition{Type: v1.ConditionReady}
	pending, old, done := state(1, 1, v1.PhasePending, "False"), state(2, 1, v1.PhaseReady, "True"), state(2, 2, v1.PhaseReady, "True")
	synctest.Test(t, func(t *testing.T) {
		var seen []v1.Phase
		watching := ready
		watching.Watch = func(s v1.Status) { seen = append(seen, s.Phase) }
		c := on(t, statuses(pending, pending, "", "", "", "", "", "", old, done), client.Options{})
		if got := want[v1.Cluster](t)(c.WaitFor(t.Context(), "c", watching)); got.Generation != 2 {
			t.Errorf("waited for %+v", got)
		}
		if !slices.Equal(seen, []v1.Phase{v1.PhasePending, v1.PhaseReady}) {
			t.Errorf("watched %v", seen)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := on(t, statuses(pending), client.Options{}).WaitForNodePool(ctx, "p", ready)
		e, ok := errors.AsType[*client.WaitError](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) || e.Last.Phase != v1.PhasePending || !strings.Contains(err.Error(), "as Pending") {
			t.Errorf("a wait in vain: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := on(t, func(*http.Request) (*http.Response, error) { return answer(404, refuse(v1.CodeNotFound)), nil }, client.Options{})
		if _, err := c.WaitFor(t.Context(), "c", ready); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("a wait for what is not there: %v", err)
		}
		must(t, c.WaitForDeletion(t.Context(), "c", nil))
	})
	synctest.Test(t, func(t *testing.T) {
		c := on(t, statuses(pending), client.Options{})
		unready := client.Condition{Type: v1.ConditionReady, Status: v1.ConditionFalse}
		want[v1.Cluster](t)(c.WaitFor(t.Context(), "c", unready))
	})
	synctest.Test(t, func(t *testing.T) {
		lost, away := errors.New("lost"), &client.Error{Status: 503}
		found := map[v1.Phase]error{v1.PhasePending: away, v1.PhaseReady: lost} // What may pass is looked past.
		hoping := ready
		hoping.Hopeless = func(s v1.Status) error { return found[s.Phase] }
		if _, err := on(t, statuses(pending, old, done), client.Options{}).WaitFor(t.Context(), "c", hoping); !errors.Is(err, lost) {
			t.Errorf("a wait without hope: %v", err)
		}
		want[v1.Cluster](t)(on(t, statuses(pending, done), client.Options{}).WaitFor(t.Context(), "c", hoping))
	})
}
