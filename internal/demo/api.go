package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

const (
	callTimeout = 10 * time.Second
	// The pause between two tries doubles from first to last.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// apiClient speaks to the API as a controller does. It is safe for concurrent use.
type apiClient struct {
	http *http.Client
	root string // http://127.0.0.1:8080/api/v1
}

// refusal is an answer that trying again will not change.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("the API answers %d: %s", r.status, r.body) }

// isGone reports whether an error says that the resource does not exist.
func isGone(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusNotFound
}

// resource returns what is at a path, such as /clusters/{id}: what a node pool has besides is not looked at.
func (a apiClient) resource(ctx context.Context, at string) (r v1.Cluster, err error) {
	err = a.call(ctx, http.MethodGet, at, nil, &r)
	return r, err
}

// status returns that of what is at a path; of a cluster it names no node pool.
func (a apiClient) status(ctx context.Context, at string) (s v1.NodePoolStatus, err error) {
	err = a.call(ctx, http.MethodGet, at+"/status", nil, &s)
	return s, err
}

func (a apiClient) report(ctx context.Context, at string, r v1.StatusReport) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a report: %w", err)
	}
	return a.call(ctx, http.MethodPut, at+"/status", body, &v1.ReportResult{})
}

// call tries until the API answers something else than a failure of its own. It returns
// a [*refusal] for a 4xx, and ctx's error when ctx ends before.
func (a apiClient) call(ctx context.Context, method, path string, body []byte, answer any) error {
	var pause backoff
	for {
		err := a.try(ctx, method, path, body, answer)
		var r *refusal
		if err == nil || errors.As(err, &r) {
			return err
		}
		if !pause.wait(ctx) {
			return ctx.Err()
		}
	}
}

// try makes one call. Any error but a *refusal may pass.
func (a apiClient) try(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.root+path, bytes.NewReader(body))
	if err != nil {
		return &refusal{body: err.Error()}
	}
	req.Header.Set("X-User-Email", identity)
	req.Header.Set("Content-Type", "application/json")
	res, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("call the API: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("read the API's answer: %w", err)
	case res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("the API answers %d", res.StatusCode)
	case res.StatusCode >= http.StatusBadRequest:
		return &refusal{status: res.StatusCode, body: string(text)}
	}
	return json.Unmarshal(text, answer)
}

// platformOf returns spec.platform.type, "" when the spec names none.
func platformOf(r v1.Cluster) string {
	var spec struct {
		Platform struct {
			Type string `json:"type"`
		} `json:"platform"`
	}
	if json.Unmarshal([]byte(r.Spec), &spec) != nil {
		return ""
	}
	return spec.Platform.Type
}

// backoff is the pause before the next try; the zero value starts with firstPause.
type backoff struct{ next time.Duration }

// wait pauses, and reports whether ctx still stands.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(max(2*b.next, firstPause), lastPause)
	return rest(ctx, b.next)
}

// rest waits, and reports whether ctx still stands.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
