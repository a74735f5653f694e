package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// request is a call, before it is made.
type request struct {
	method string
	path   string // below the root, escaped
	query  url.Values
	header http.Header
	body   any // encoded as JSON; nil for none
	// repeatable says that it does nothing twice.
	repeatable bool
	// spoken are statuses beyond 2xx whose answer is of the same type.
	spoken []int
}

// Option changes a call. One that a call has no use for is refused by the service, which names it.
type Option func(*request)

// IfMatch has a change refused with [ErrPreconditionFailed] when the resource version is not the one that was read:
// when anything at all has happened since, a report too. To be safe from other users' changes alone, set Generation
// in the body instead.
func IfMatch(resourceVersion string) Option {
	return func(r *request) { r.header.Set("If-Match", `"`+resourceVersion+`"`) }
}

// DryRun has a call answered as it would be, and nothing done.
func DryRun() Option { return func(r *request) { r.query.Set("dry_run", "true") } }

// IdempotencyKey makes a creation one that may be repeated: the same key and body within 24 hours get the same answer
// and create nothing. Keys are the caller's own, of up to 255 characters; a UUID is a good one.
func IdempotencyKey(key string) Option {
	return func(r *request) {
		r.header.Set("Idempotency-Key", key)
		r.repeatable = r.repeatable || r.method == http.MethodPost && key != ""
	}
}

// Force has a deletion that is under way wait for no controller any more. Reason is kept with who forced it. Of what is
// not yet being deleted it begins the ordinary deletion.
func Force(reason string) Option {
	return func(r *request) {
		r.query.Set("force", "true")
		if reason != "" {
			r.query.Set("reason", reason)
		}
	}
}

func newRequest(method string, query url.Values, body any, segments ...string) request {
	if query == nil {
		query = url.Values{}
	}
	r := request{method: method, path: "/api/v1", query: query, header: http.Header{}, body: body, repeatable: method == http.MethodGet}
	for _, s := range segments {
		r.path += "/" + url.PathEscape(s)
	}
	return r
}

// call makes a call whose answer is a T, with options.
func call[T any](ctx context.Context, c *Client, r request, options ...Option) (answer T, err error) {
	for _, o := range options {
		o(&r)
	}
	err = c.send(ctx, r, &answer)
	return answer, err
}

// send makes a call, again while that can help.
func (c *Client) send(ctx context.Context, r request, answer any) error {
	var text []byte
	if r.body != nil {
		var err error
		if text, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("encode the body: %w", err)
		}
	}
	for pause, tries := c.options.Retry.FirstPause, 1; ; tries++ {
		err := c.try(ctx, r, text, answer)
		if err == nil || !r.repeatable || tries >= c.options.Retry.Attempts || !mayPass(err) || ctx.Err() != nil {
			return err
		}
		wait := pause/2 + rand.N(pause/2+1) //nolint:gosec // spreads load, keeps no secret
		if e, ok := errors.AsType[*Error](err); ok {
			wait = max(wait, e.RetryAfter)
		}
		if !rest(ctx, wait) {
			return err
		}
		pause = min(2*pause, c.options.Retry.LongestPause)
	}
}

// try makes a call once.
func (c *Client) try(ctx context.Context, r request, body []byte, answer any) error {
	req, err := c.build(ctx, r, body)
	if err != nil {
		return &callError{err: err}
	}
	resp, err := c.options.HTTP.Do(req)
	if err != nil {
		return &callError{err: err, passing: true}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return &callError{err: fmt.Errorf("read the answer to %s %s: %w", r.method, r.path, err), passing: true}
	}
	if resp.StatusCode/100 != 2 && !slices.Contains(r.spoken, resp.StatusCode) {
		return refusal(resp.StatusCode, resp.Header, text)
	}
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", r.method, r.path, err)
	}
	return nil
}

func (c *Client) build(ctx context.Context, r request, body []byte) (*http.Request, error) {
	at := c.root + r.path
	if len(r.query) > 0 {
		at += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range c.options.Header {
		req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.options.UserAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.options.Identity != "" {
		req.Header.Set("X-User-Email", c.options.Identity)
	}
	if c.options.Token != nil {
		token, err := c.options.Token(ctx)
		if err != nil {
			return nil, fmt.Errorf("get a token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// callError is a failure on this side of the service.
type callError struct {
	err error
	// passing says that it was the network's.
	passing bool
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// mayPass reports whether a call that failed may succeed if it is made again.
func mayPass(err error) bool {
	if e, ok := errors.AsType[*callError](err); ok {
		return e.passing
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return e.Code == v1.CodeRequestInFlight
}

// rest waits, and reports whether ctx still stands. What would last longer than ctx is not begun.
func rest(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
