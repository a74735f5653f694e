package main

import (
	"net"
	"sync"
	"testing"
)

// proxy stands between the service and something that it talks to over TCP, and can hold
// back what either says. The connections stay up: nothing fails, and nothing answers.
type proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	gates  [2]chan struct{} // closed while bytes flow: requests, answers
	conns  []net.Conn
	resets bool // new connections
}

// The two ways through a proxy.
const (
	requests = iota
	answers
)

// newProxy forwards to target until the test ends.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, target: target}
	for way := range p.gates {
		p.gates[way] = make(chan struct{})
		close(p.gates[way])
	}
	go p.accept()
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.let(requests)
		p.let(answers)
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		resets := p.resets
		p.mu.Unlock()
		if resets {
			p.cut()
			continue
		}
		go p.forward(out, in, requests)
		go p.forward(in, out, answers)
	}
}

func (p *proxy) forward(to, from net.Conn, way int) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		gate := p.gates[way]
		p.mu.Unlock()
		<-gate
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// hold lets nothing more through one way.
func (p *proxy) hold(way int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gates[way] = make(chan struct{})
}

// let opens a way again, for what was held back too.
func (p *proxy) let(way int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gates[way]:
	default:
		close(p.gates[way])
	}
}

// refuse resets all connections, and new ones until it is told otherwise.
func (p *proxy) refuse(on bool) {
	p.mu.Lock()
	p.resets = on
	p.mu.Unlock()
	p.cut()
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	p.conns = nil
}
