package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// flight is how many reads of a connection may be on their way in one direction. Beyond, the sender is not read from.
const flight = 64

// link is a connection of a client with the one to the server.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	cancel context.CancelFunc

	mu     sync.Mutex
	server *net.TCPConn // nil until it is reached
	ended  bool
}

// run passes bytes both ways until both have ended, or either is reset. A target that cannot be reached resets.
func (l *link) run(ctx context.Context) {
	defer l.reset()
	if !l.proxy.wait(ctx, stalled) {
		return
	}
	server, err := l.proxy.dial(ctx)
	if err != nil || !l.reached(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(ctx, server, l.client, &l.proxy.sent) })
	both.Go(func() { l.pass(ctx, l.client, server, &l.proxy.answered) })
	both.Wait()
	l.close(false)
}

// reached keeps the connection to the server, unless the link has ended meanwhile.
func (l *link) reached(server *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

// reset ends the link with a RST to both ends, unless it has ended.
func (l *link) reset() { l.close(true) }

func (l *link) close(abort bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	l.cancel()
	for _, conn := range []*net.TCPConn{l.client, l.server} {
		if conn == nil {
			continue
		}
		if abort {
			_ = conn.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// part is what was read at once, or why there is no more.
type part struct {
	data []byte
	end  error
	due  time.Time
}

// pass passes what comes from one end to the other, when it is due and nothing holds it, and its end likewise.
func (l *link) pass(ctx context.Context, to, from *net.TCPConn, count *atomic.Int64) {
	parts := make(chan part, flight)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(parts)
		l.read(ctx, from, parts)
	})
	defer reader.Wait()
	for part := range parts {
		if !until(ctx, part.due) || !l.proxy.wait(ctx, passing) {
			return
		}
		err := part.end
		if err == nil {
			var n int
			n, err = to.Write(part.data)
			count.Add(int64(n))
		} else if errors.Is(err, io.EOF) {
			err = to.CloseWrite()
		}
		if err != nil {
			l.reset()
			return
		}
	}
}

func (l *link) read(ctx context.Context, from *net.TCPConn, parts chan<- part) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !send(ctx, parts, part{data: bytes.Clone(buffer[:n]), due: l.proxy.due()}) {
			return
		}
		if err != nil {
			send(ctx, parts, part{end: err, due: l.proxy.due()})
			return
		}
	}
}

// send reports false when ctx has ended before.
func send(ctx context.Context, parts chan<- part, p part) bool {
	select {
	case parts <- p:
		return true
	case <-ctx.Done():
		return false
	}
}

// until waits until a moment, and reports false when ctx has ended before.
func until(ctx context.Context, moment time.Time) bool {
	left := time.Until(moment)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
