// Package wire makes HTTP requests as cheaply as it can: whoever measures the service shares the cores of the machine
// with it.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Request is an HTTP request as it goes over the wire; user is whom the gateway vouches for, and a nil body is none.
func Request(method, path, user string, body []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(body) + 256)
	b.WriteString(method + " " + path + " HTTP/1.1\r\nHost: wire\r\nX-User-Email: " + user + "\r\n")
	if body != nil {
		b.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// Connection is a kept-alive HTTP/1.1 connection. It is not safe for concurrent use, but for Close.
type Connection struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to a service. The caller closes the connection.
func Dial(ctx context.Context, addr string) (*Connection, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the service: %w", err)
	}
	return &Connection{conn: c, in: bufio.NewReaderSize(c, 16<<10)}, nil
}

// Close ends the connection, and whatever waits for an answer on it.
func (c *Connection) Close() error { return c.conn.Close() }

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request and reads the whole answer, within limit. After an error the connection is of no more use.
func (c *Connection) Do(request []byte, limit time.Duration) (Answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return Answer{}, fmt.Errorf("send a request: %w", err)
	}
	if _, err := c.conn.Write(request); err != nil {
		return Answer{}, fmt.Errorf("send a request: %w", err)
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return Answer{}, fmt.Errorf("read an answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return Answer{}, fmt.Errorf("read an answer: %w", err)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}
