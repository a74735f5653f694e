package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cls-backend/cls-backend/test/fault/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience is far above what anything here takes.
	patience = 30 * time.Second
	// silence is how long nothing has to come where nothing is to come.
	silence = 100 * time.Millisecond
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// server answers each byte with itself plus a number, and ends a connection when the client does. It tells how each
// connection has ended.
type server struct {
	addr     string
	accepted chan struct{}
	ended    chan error
}

func serve(t *testing.T, plus byte) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &server{addr: l.Addr().String(), accepted: make(chan struct{}, 100), ended: make(chan error, 100)}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted <- struct{}{}
			work.Go(func() { s.ended <- answer(conn, plus) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return s
}

// answer returns nil when the client has ended the connection, and the error when something has broken it.
func answer(conn net.Conn, plus byte) error {
	defer conn.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range buffer[:n] {
			buffer[i] += plus
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

// start starts a proxy that is closed before its server.
func start(t *testing.T, s *server) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(t.Context(), s.addr)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *proxy.Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.Addr(), patience)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn.(*net.TCPConn)
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	must(t, err)
}

func read(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

// quiet checks that neither a byte nor an end comes.
func quiet(t *testing.T, conn net.Conn) {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(silence)))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v, want nothing", n, err)
	}
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
}

func within[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
		panic("unreachable")
	}
}

func TestBytesPass(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	p := start(t, s)
	conn := dial(t, p)
	write(t, conn, "ace")
	read(t, conn, "bdf")
	if got, want := p.Counts(), (proxy.Counts{Connections: 1, Open: 1, Sent: 3, Answered: 3}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	// The end of one direction passes, and the other goes on.
	write(t, conn, "gi")
	must(t, conn.CloseWrite())
	if rest, err := io.ReadAll(conn); err != nil || string(rest) != "hj" {
		t.Errorf("rest %q, %v", rest, err)
	}
	if err := within(t, "the end", s.ended); err != nil {
		t.Errorf("the server saw %v", err)
	}
}

// TestMuch passes more than is buffered anywhere, both ways at once, under latency: it arrives whole and in order, and
// latency is paid once.
func TestMuch(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, 0))
	p.Latency(20 * time.Millisecond)
	conn := dial(t, p)
	const size = 16 << 20
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(i >> 8 * (1 + i%2))
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		_, _ = conn.Write(sent)
		_ = conn.CloseWrite()
	})
	got, err := io.ReadAll(conn)
	writer.Wait()
	must(t, err)
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back of %d, or others", len(got), size)
	}
	if c := p.Counts(); c.Sent != size || c.Answered != size {
		t.Errorf("counts %+v", c)
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, 1))
	conn := dial(t, p)
	const d = 100 * time.Millisecond
	p.Latency(d)
	began := time.Now()
	write(t, conn, "a")
	read(t, conn, "b")
	if took := time.Since(began); took < 2*d {
		t.Errorf("there and back in %v, want %v each way", took, d)
	}
	must(t, p.Heal())
	p.Latency(time.Hour)
	write(t, conn, "a")
	quiet(t, conn)
}

func TestStall(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	p := start(t, s)
	open := dial(t, p)
	write(t, open, "a")
	read(t, open, "b")
	within(t, "the first connection", s.accepted)
	p.Stall()
	write(t, open, "c")
	fresh := dial(t, p)
	write(t, fresh, "e")
	within(t, "a connection to a server that hangs", s.accepted)
	must(t, open.CloseWrite())
	quiet(t, open)
	quiet(t, fresh)
	must(t, p.Heal())
	read(t, open, "d")
	read(t, fresh, "f")
	if err := within(t, "the end that was held", s.ended); err != nil {
		t.Errorf("the server saw %v", err)
	}
}

// TestPartition: nobody hears of anything, and it goes on as if nothing had been.
func TestPartition(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	p := start(t, s)
	open, leaving := dial(t, p), dial(t, p)
	for _, conn := range []net.Conn{open, leaving} {
		write(t, conn, "a")
		read(t, conn, "b")
		within(t, "a connection", s.accepted)
	}
	p.Partition()
	write(t, open, "c")
	must(t, leaving.SetLinger(0))
	must(t, leaving.Close()) // A RST, which is lost.
	fresh := dial(t, p)
	write(t, fresh, "e")
	quiet(t, open)
	quiet(t, fresh)
	select {
	case <-s.accepted:
		t.Error("a connection came through")
	case err := <-s.ended:
		t.Errorf("the server heard of an end: %v", err)
	default:
	}
	must(t, p.Heal())
	read(t, open, "d")
	read(t, fresh, "f")
	if err := within(t, "the end of who left", s.ended); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want a reset", err)
	}
}

// TestPartitionAfterStall: a fault takes the place of the one before.
func TestPartitionAfterStall(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	p := start(t, s)
	p.Partition()
	conn := dial(t, p)
	write(t, conn, "a")
	p.Stall()
	within(t, "the connection, which is stalled now", s.accepted)
	quiet(t, conn)
	must(t, p.Heal())
	read(t, conn, "b")
}

func TestReset(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	p := start(t, s)
	var conns []*net.TCPConn
	for range 3 {
		conn := dial(t, p)
		write(t, conn, "a")
		read(t, conn, "b")
		conns = append(conns, conn)
	}
	p.Stall() // It holds nothing up.
	p.Reset()
	for _, conn := range conns {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client saw %v, want a reset", err)
		}
		if err := within(t, "the reset", s.ended); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server saw %v, want a reset", err)
		}
	}
	if c := p.Counts(); c.Open != 0 || c.Connections != 3 {
		t.Errorf("counts %+v", c)
	}
	must(t, p.Heal())
	conn := dial(t, p)
	write(t, conn, "a")
	read(t, conn, "b")
}

// TestResetOfWhatIsNotReached: under a partition too.
func TestResetOfWhatIsNotReached(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, 1))
	p.Partition()
	conn := dial(t, p)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); p.Counts().Open == 0; <-tick.C {
		if time.Now().After(end) {
			t.Fatal("the connection was not accepted")
		}
	}
	p.Reset()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client saw %v, want a reset", err)
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, 1))
	open := dial(t, p)
	write(t, open, "a")
	read(t, open, "b")
	addr := p.Addr()
	for range 3 {
		p.Refuse()
		p.Refuse()
		if conn, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial: %v, %v, want a refusal", conn, err)
		}
		write(t, open, "c")
		read(t, open, "d")
		must(t, p.Heal())
		conn := dial(t, p)
		write(t, conn, "e")
		read(t, conn, "f")
	}
	if p.Addr() != addr {
		t.Errorf("address %s, was %s", p.Addr(), addr)
	}
}

func TestRefusedPortIsTaken(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, 1))
	p.Refuse()
	l, err := net.Listen("tcp", p.Addr())
	must(t, err)
	defer l.Close()
	if err := p.Heal(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("heal: %v", err)
	}
	must(t, l.Close())
	must(t, p.Heal())
	conn := dial(t, p)
	write(t, conn, "a")
	read(t, conn, "b")
}

func TestRetarget(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, 1))
	open := dial(t, p)
	write(t, open, "a")
	read(t, open, "b")
	p.Retarget(serve(t, 2).addr)
	fresh := dial(t, p)
	write(t, fresh, "a")
	read(t, fresh, "c")
	write(t, open, "a")
	read(t, open, "b")
}

// TestTargetIsGone: a process that has died refuses, which a client behind the proxy sees as a reset.
func TestTargetIsGone(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	p := start(t, &server{addr: l.Addr().String()})
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil { // It may come before the dial has returned.
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client saw %v, want a reset", err)
	}
}

// TestEnds: whatever is held, Close and the end of the context leave nothing behind, which goleak checks.
func TestEnds(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"close", "context"} {
		for name, fault := range map[string]func(p *proxy.Proxy){
			"none": func(*proxy.Proxy) {}, "stall": (*proxy.Proxy).Stall, "partition": (*proxy.Proxy).Partition, "refuse": (*proxy.Proxy).Refuse,
			"latency": func(p *proxy.Proxy) { p.Latency(time.Hour) },
		} {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				s := serve(t, 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				p, err := proxy.New(ctx, s.addr)
				must(t, err)
				conn := dial(t, p)
				write(t, conn, "a")
				read(t, conn, "b")
				fault(p)
				write(t, conn, "a")
				if how == "context" {
					cancel()
				}
				p.Close()
				p.Close()
				if err := p.Heal(); err != nil {
					t.Errorf("heal: %v", err)
				}
				if conn, err := net.Dial("tcp", p.Addr()); err == nil {
					_ = conn.Close()
					t.Error("it still listens")
				}
				if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the client saw %v, want a reset", err)
				}
			})
		}
	}
}

// TestFaultsAtOnce switches everything while connections come and go.
func TestFaultsAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	go func() {
		for {
			select {
			case <-s.accepted:
			case <-s.ended:
			case <-t.Context().Done():
				return
			}
		}
	}()
	p := start(t, s)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 200 {
				conn, err := net.Dial("tcp", p.Addr())
				if err != nil {
					continue
				}
				_ = conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
				_, _ = io.WriteString(conn, "a")
				if n, _ := conn.Read(make([]byte, 2)); n > 1 {
					t.Error("more came back than was sent")
				}
				_ = conn.Close()
			}
		})
	}
	for range 2 {
		work.Go(func() {
			for i := range 300 {
				[]func(){p.Stall, p.Partition, p.Reset, p.Refuse, func() { p.Latency(time.Millisecond) }, func() { p.Retarget(s.addr) }}[i%6]()
				_ = p.Counts()
				if err := p.Heal(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	conn := dial(t, p)
	write(t, conn, "a")
	read(t, conn, "b")
}
