package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/cls-backend/cls-backend/internal/config"
)

// server is an HTTP server on a port that is already its own.
type server struct {
	listener net.Listener
	http     *http.Server
}

// listen takes a port, so that one that is taken ends the start and not the running service.
func listen(ctx context.Context, c config.Server, setting string, port int, h http.Handler, log *slog.Logger) (*server, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%s=%d: %w", setting, port, err)
	}
	return &server{listener: listener, http: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: c.ReadTimeout,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}, nil
}

// address returns host and port; a server on all interfaces is named by loopback.
func (s *server) address() string {
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return s.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func (s *server) serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.address(), err)
	}
	return nil
}

// shutdown waits for the requests in flight until ctx ends, and cuts off the rest.
func (s *server) shutdown(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
}
