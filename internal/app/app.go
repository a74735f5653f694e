// Package app wires the service together: it builds every part from the settings, starts
// them in order and drains them in reverse. The server, "cls-backend dev" and the
// end-to-end tests all start here.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cls-backend/cls-backend/internal/config"
	"github.com/cls-backend/cls-backend/internal/retention"
)

// Build says which program this is; /api/v1/info and the metrics show it.
type Build struct {
	Version string
	Commit  string
	Time    string
}

// Addresses are where a running service listens: host and port.
type Addresses struct {
	API     string
	Metrics string
}

// Options are what Run needs besides the settings.
type Options struct {
	Build Build
	Log   *slog.Logger
	// Balanced says that a load balancer sends requests here. After readiness is off it needs a
	// moment to notice: requests are taken on for a tenth of the shutdown timeout.
	Balanced bool
	// Serving is called once the schema is in place and everything runs; may be nil.
	Serving func(Addresses)
}

// Run runs the service until ctx ends, then drains it and returns nil: readiness goes
// off, requests in flight are answered, the relay finishes its batch, at most the
// shutdown timeout in all. It fails at once when the settings cannot be acted on or a
// port is taken. A database that is away is waited for: meanwhile the service listens,
// alive and not ready.
func Run(ctx context.Context, cfg config.Config, o Options) error {
	p, err := build(ctx, cfg, o)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

// run starts the parts. What listens outlives what is asked to stop: loops run under a
// context that ends only when the requests are drained.
func (p *parts) run(ctx context.Context) error {
	loops, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	group, failed := errgroup.WithContext(loops)
	p.log.InfoContext(ctx, "listening", "api", p.apiServer.address(), "metrics", p.metricsServer.address())

	group.Go(func() error { return p.metricsServer.serve() })
	group.Go(func() error { return p.apiServer.serve() })
	group.Go(func() error { return p.pubsub.Run(failed) })
	group.Go(func() error { return p.work(ctx, failed) })

	select {
	case <-ctx.Done():
		p.log.InfoContext(ctx, "stopping", "limit", p.cfg.Server.ShutdownTimeout)
		p.retire(failed)
	case <-failed.Done():
	}
	drained := p.drain(context.WithoutCancel(ctx), stopLoops, group)
	p.log.InfoContext(ctx, "stopped")
	return drained
}

// retireShare is the part of the shutdown timeout in which requests are still taken.
const retireShare = 10

// retire takes readiness away and, behind a load balancer, goes on serving until it must have
// noticed, so that the port is not closed under what it sends.
func (p *parts) retire(failed context.Context) {
	p.draining.Store(true)
	if !p.options.Balanced {
		return
	}
	select {
	case <-time.After(p.cfg.Server.ShutdownTimeout / retireShare):
	case <-failed.Done():
	}
}

// drain ends everything within the shutdown timeout, whatever hangs. The first half of
// the time is for requests; what is left is for the loops, of which the relay is the one
// that may have something on its way. The last tenth is kept for closing, so that the
// process itself has ended in time.
func (p *parts) drain(ctx context.Context, stopLoops context.CancelFunc, group *errgroup.Group) error {
	limit := p.cfg.Server.ShutdownTimeout
	if p.options.Balanced {
		limit -= limit / retireShare
	}
	draining, cancel := context.WithTimeout(ctx, limit*9/10)
	defer cancel()

	requests, cancelRequests := context.WithTimeout(draining, limit/2)
	p.apiServer.shutdown(requests)
	cancelRequests()
	stopLoops()
	p.metricsServer.shutdown(draining)

	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-draining.Done():
		err = errors.New("the loops did not end in time")
	}
	closing, cancelClosing := context.WithTimeout(ctx, limit/20)
	defer cancelClosing()
	return errors.Join(err, p.close(closing))
}

// work brings the schema up to date and then runs the loops. ctx ends when the service
// is asked to stop, loops when requests are drained.
func (p *parts) work(ctx, loops context.Context) error {
	if err := p.bringUp(ctx); err != nil {
		if ctx.Err() != nil || loops.Err() != nil {
			return nil //nolint:nilerr // asked to stop while waiting
		}
		return err
	}
	p.up.Store(true)
	p.log.InfoContext(ctx, "serving")
	if p.options.Serving != nil {
		p.options.Serving(Addresses{API: p.apiServer.address(), Metrics: p.metricsServer.address()})
	}
	group, loops := errgroup.WithContext(loops)
	group.Go(func() error { return p.relay.Run(loops) })
	group.Go(func() error { return retention.Run(loops, p.cleaners...) })
	if p.scheduler != nil {
		group.Go(func() error { return p.scheduler.Run(loops) })
	}
	return group.Wait()
}

// The pauses between tries to reach the database at the start.
const (
	firstWait = 100 * time.Millisecond
	longWait  = time.Second
)

// bringUp waits for the database and migrates it. An error of the migration itself, as
// opposed to a database that is away, ends the service.
func (p *parts) bringUp(ctx context.Context) error {
	wait, said := firstWait, false
	for {
		err := p.migrate(ctx)
		if err == nil || !isUnavailable(err) {
			return err
		}
		if !said {
			p.log.WarnContext(ctx, "waiting for PostgreSQL", "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", ctx.Err())
		case <-time.After(wait):
		}
		wait = min(2*wait, longWait)
	}
}
