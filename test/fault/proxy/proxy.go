// Package proxy stands between a process and a server that it reaches by TCP, and breaks what is between them while
// connections are open.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy passes bytes between who connects to its address and its target. It is safe for concurrent use.
type Proxy struct {
	addr     *net.TCPAddr
	cancel   context.CancelFunc
	work     sync.WaitGroup // everything that runs
	sent     atomic.Int64
	answered atomic.Int64

	mu          sync.Mutex
	target      string
	latency     time.Duration
	mode        mode
	changed     chan struct{}    // closed, and made anew, when the mode changes
	listener    *net.TCPListener // nil while the port is closed
	links       map[*link]bool
	connections int64
	closed      bool
}

// mode is how far things get.
type mode int

const (
	passing     mode = iota
	stalled          // to the server, but no byte does
	partitioned      // not even there
)

// Counts is what a proxy has seen until now.
type Counts struct {
	Connections int64 // that were accepted
	Open        int   // of them
	Sent        int64 // bytes that went to the target
	Answered    int64 // bytes that came from it
}

// New starts a proxy on a port of loopback that is free. It ends with ctx or by Close.
func New(ctx context.Context, target string) (*Proxy, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen: no address of TCP: %v", listener.Addr()), listener.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &Proxy{addr: addr, cancel: cancel, target: target, changed: make(chan struct{}), links: map[*link]bool{}}
	p.serve(listener)
	p.work.Go(func() {
		<-ctx.Done()
		p.end()
	})
	return p, nil
}

// Addr is where the proxy listens, as host:port. It stays the same.
func (p *Proxy) Addr() string { return p.addr.String() }

// Close resets what is open, and returns once nothing runs any more.
func (p *Proxy) Close() {
	p.cancel()
	p.work.Wait()
}

func (p *Proxy) end() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Refuse()
	p.Reset()
}

// Counts returns what was seen until now.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Counts{Connections: p.connections, Open: len(p.links), Sent: p.sent.Load(), Answered: p.answered.Load()}
}

// Retarget has connections that are reached from now on go to another server, as after a fail-over. Open ones stay
// where they are.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Latency delays each byte by d on its way, in each direction. It costs no throughput.
func (p *Proxy) Latency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// Stall holds every byte, and every end of a connection, as a server does that hangs: connections are made, and nothing
// comes. What is held goes on with Heal. What is being written at this moment may still arrive.
func (p *Proxy) Stall() { p.set(stalled) }

// Partition is Stall, and new connections do not reach the target either, as in a network that drops everything: nobody
// is told, by a FIN or a RST, that anybody has gone. The system completes the handshake of a new connection with the
// proxy, as it does for any port that is listened on; there is no answer on it.
func (p *Proxy) Partition() { p.set(partitioned) }

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

// Reset ends the connections that are open with a RST to both ends. New ones pass as before.
func (p *Proxy) Reset() {
	p.mu.Lock()
	links := slices.Collect(maps.Keys(p.links))
	clear(p.links)
	p.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
}

// Refuse closes the port: connections are refused until Heal. Open ones stay.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

// Heal ends all faults: bytes pass at once, those that were held too, and the port is open. The error is that of
// opening it: somebody else may have taken it meanwhile.
func (p *Proxy) Heal() error {
	p.set(passing)
	p.Latency(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return nil
	}
	listener, err := net.ListenTCP("tcp4", p.addr)
	if err != nil {
		return fmt.Errorf("listen again: %w", err)
	}
	p.serve(listener)
	return nil
}

// serve accepts connections until the listener is closed.
func (p *Proxy) serve(listener *net.TCPListener) {
	p.listener = listener
	p.work.Go(func() {
		for {
			client, err := listener.AcceptTCP()
			switch {
			case err == nil:
				p.accept(client)
			case errors.Is(err, net.ErrClosed):
				return
			}
		}
	})
}

func (p *Proxy) accept(client *net.TCPConn) {
	ctx, cancel := context.WithCancel(context.Background()) // It ends with the link, which ends with the proxy.
	l := &link{proxy: p, client: client, cancel: cancel}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connections++
	if p.closed {
		l.reset()
		return
	}
	p.links[l] = true
	p.work.Go(func() {
		l.run(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
}

// wait returns once things get as far as most, and false when ctx has ended before.
func (p *Proxy) wait(ctx context.Context, most mode) bool {
	for {
		p.mu.Lock()
		mode, changed := p.mode, p.changed
		p.mu.Unlock()
		if mode <= most {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// due is when what is read now may arrive.
func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.latency)
}

func (p *Proxy) dial(ctx context.Context) (*net.TCPConn, error) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, err
	}
	server, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("no connection of TCP: %T", conn), conn.Close())
	}
	return server, nil
}
