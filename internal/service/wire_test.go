package service_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// meter stands between the service and PostgreSQL and counts what is sent, by the
// messages of the protocol (PostgreSQL, "Message Formats"): what no driver can hide.
type meter struct {
	url string // of the database behind the meter

	mu    sync.Mutex
	count traffic
	// cutAt is the round trip, counted from the last measure, that no longer reaches the server:
	// its connection ends instead. 0 for none.
	cutAt int
}

// traffic is what a call costs. A round trip is a wait for the server's answer.
type traffic struct{ Statements, RoundTrips int }

func startMeter(t *testing.T, target string) *meter {
	t.Helper()
	u, err := url.Parse(target)
	must(t, err)
	upstream := u.Host
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	u.Host = listener.Addr().String()
	query := u.Query()
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	m := &meter{url: u.String()}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go m.serve(client, upstream)
		}
	}()
	return m
}

// serve carries one connection until either side ends it.
func (m *meter) serve(client net.Conn, upstream string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_ = m.forward(server, bufio.NewReader(client))
	_ = server.Close()
}

// forward passes messages on: the start-up one, which has no type, then typed ones.
func (m *meter) forward(server io.Writer, client *bufio.Reader) error {
	for typed := false; ; typed = true {
		header := 4
		if typed {
			header = 5
		}
		head, err := client.Peek(header)
		if err != nil {
			return err
		}
		if typed && !m.add(head[0]) {
			return net.ErrClosed
		}
		length := int64(header-4) + int64(binary.BigEndian.Uint32(head[header-4:]))
		if _, err := io.CopyN(server, client, length); err != nil {
			return err
		}
	}
}

// add counts a message: Execute, Sync, and the simple Query that is both. It reports whether the
// message may pass.
func (m *meter) add(kind byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.count.RoundTrips
	switch kind {
	case 'E':
		m.count.Statements++
	case 'S':
		m.count.RoundTrips++
	case 'Q':
		m.count.Statements++
		m.count.RoundTrips++
	}
	return m.cutAt == 0 || before == m.count.RoundTrips || m.cutAt != m.count.RoundTrips
}

// cut ends the connection at a round trip of a call, and reports whether the call came so far.
func (m *meter) cut(at int, call func()) bool {
	m.mu.Lock()
	m.cutAt = at
	m.mu.Unlock()
	made := m.measure(call).RoundTrips
	m.mu.Lock()
	m.cutAt = 0
	m.mu.Unlock()
	return made >= at
}

// measure returns what a call costs.
func (m *meter) measure(call func()) traffic {
	m.mu.Lock()
	m.count = traffic{}
	m.mu.Unlock()
	call()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// TestTrap14_StatementsOfEachCall counts what each call costs once its statements are prepared. It is
// not parallel within: there is one connection.
func TestTrap14_StatementsOfEachCall(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		m := startMeter(t, w.url)
		db, err := database.Open(t.Context(), database.Options{URL: m.url, MaxOpenConns: 1})
		must(t, err)
		t.Cleanup(db.Close)
		resources := service.NewResources(w.kind, db, settings(), nil, noObserver{})
		ctx := t.Context()
		page := make([]string, 50)
		for i := range page {
			page[i] = w.create(t, fmt.Sprintf("page-%d", i)).ID
		}
		id := page[0]
		n := 0
		allDirty := func() { w.exec(t, `UPDATE clusters SET status_dirty = true`) }
		for _, row := range []struct {
			call    string
			prepare func()
			do      func() error
			want    traffic
		}{
			{"create", func() { n++ }, func() error {
				_, err := resources.Create(ctx, alice, models.Draft{Name: fmt.Sprintf("new-%d", n), ClusterID: w.home(alice)})
				return err
			}, traffic{1, 1}},
			{"get of a dirty one", allDirty, func() error { _, err := resources.Get(ctx, alice, id); return err }, traffic{2, 2}},
			{"get of a clean one", func() {}, func() error { _, err := resources.Get(ctx, alice, id); return err }, traffic{1, 1}},
			{"status of a clean one", func() {}, func() error { _, _, err := resources.Status(ctx, alice, id); return err }, traffic{2, 2}},
			{"explanation of a clean one", func() {}, func() error { _, err := resources.Explain(ctx, alice, id); return err }, traffic{2, 2}},
			{"explanation of a dirty one", allDirty, func() error { _, err := resources.Explain(ctx, alice, id); return err }, traffic{3, 3}},
			{"report, changed", func() { n++ }, func() error {
				_, err := resources.Report(ctx, robot, id, condition("dns", v1.ConditionTrue, strconv.Itoa(n), "", ""))
				return err
			}, traffic{1, 1}},
			{"report, equal", func() {}, func() error {
				_, err := resources.Report(ctx, robot, id, condition("dns", v1.ConditionTrue, strconv.Itoa(n), "", ""))
				return err
			}, traffic{1, 1}},
			{"reconcile", func() {}, func() error { _, err := resources.Reconcile(ctx, alice, id); return err }, traffic{1, 1}},
			{"list of 50 dirty ones", allDirty, list(resources, models.ListQuery{}), traffic{3, 2}},
			{"list of 50 clean ones", func() {}, list(resources, models.ListQuery{}), traffic{2, 1}},
			{"list of 50 dirty ones by phase", allDirty, list(resources, models.ListQuery{Phase: v1.PhasePending}), traffic{9, 3}},
			{"list of 50 clean ones by phase", func() {}, list(resources, models.ListQuery{Phase: v1.PhasePending}), traffic{4, 1}},
			{"put of a new spec", func() { n++ }, func() error {
				_, err := resources.Update(ctx, alice, id, models.Edit{Spec: spec(n)}, "")
				return err
			}, traffic{4, 4}}, // begin, lock, write, commit
			{"refresh of 50", allDirty, func() error { _, err := resources.Refresh(ctx, 100); return err }, traffic{3, 3}},
			{"pass with everybody due", func() { n++ }, func() error {
				_, err := resources.WakeDue(ctx, ahead(n), 100)
				return err
			}, traffic{4, 4}}, // begin, claim, wake, commit
		} {
			var got traffic
			for range 2 { // The first time prepares the statements.
				row.prepare()
				got = m.measure(func() { must(t, row.do()) })
			}
			if got != row.want {
				t.Errorf("%s: %+v, want %+v", row.call, got, row.want)
			}
		}
	})
}

// list returns a call that must answer a page of 50.
func list(resources *service.Resources, q models.ListQuery) func() error {
	return func() error {
		page, err := resources.List(context.Background(), alice, q)
		if err == nil && len(page.Resources) != models.DefaultLimit {
			err = fmt.Errorf("a page of %d", len(page.Resources))
		}
		return err
	}
}
