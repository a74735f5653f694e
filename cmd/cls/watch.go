package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/client"
)

func watchCommand(g *globals) *cobra.Command {
	q := &query{watch: true}
	cmd := &cobra.Command{
		Use:   "watch [KIND] [NAME...]",
		Short: "Short for cls get --watch: show changes as they come, until Ctrl-C",
		Example: "  cls watch\n" +
			"  cls watch cluster hello\n" +
			"  cls watch nodepools --cluster hello",
		ValidArgsFunction: g.completeTargets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			if len(args) == 0 {
				args = []string{"clusters"}
			}
			return get(ctx, s, q, args)
		}),
	}
	q.addFlags(g, cmd, "")
	return cmd
}

// watch looks again and again at what the arguments name, and shows each that is new, has changed or is gone, until
// ctx ends. Those that were named are watched to their end.
func (s *session) watch(ctx context.Context, q *query, args []string) error {
	look, err := s.watched(ctx, q, args)
	if err != nil {
		return err
	}
	w := watcher{session: s, query: q, seen: map[string]resource{}}
	for away := false; ; {
		all, err := look(ctx)
		if err == nil {
			err = s.nameClusters(ctx, all)
		}
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Ctrl-C is how it ends
		case err != nil && !passing(err):
			return err
		case err != nil && !away:
			fmt.Fprintf(s.err, "%s; trying again\n", clean(advise(err).message))
		case err == nil:
			if err := w.show(all); err != nil {
				return err
			}
		}
		away = err != nil
		if err == nil && len(all) == 0 && !isList(args) || !rest(ctx, q.every) {
			return nil
		}
	}
}

// watched returns what looks at what the arguments name.
func (s *session) watched(ctx context.Context, q *query, args []string) (func(context.Context) ([]resource, error), error) {
	if isList(args) {
		k := s.kindOf(args[0])
		return func(ctx context.Context) ([]resource, error) {
			p, err := k.all(ctx, q.filter)
			return p.resources, err
		}, nil
	}
	found, err := s.locate(ctx, "", args, q.cluster)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]resource, error) {
		var all []resource
		for _, f := range found {
			r, err := f.kind.get(ctx, f.ID)
			if errors.Is(err, client.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		return all, nil
	}, nil
}

// passing reports whether looking again can help: it can when the service or the network is away.
func passing(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return !ok || e.Status >= 500 || errors.Is(err, client.ErrRequestInFlight) || e.Status == 429
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

// watcher knows what has been shown.
type watcher struct {
	*session
	*query

	seen   map[string]resource
	headed bool
}

// phaseGone is what a table says of what is not there any more.
const phaseGone = "Gone"

// show prints what is new, has changed or is gone since the last time.
func (w *watcher) show(all []resource) error {
	now := map[string]resource{}
	var changed []resource
	for _, r := range all {
		now[r.ID] = r
		if old, ok := w.seen[r.ID]; !ok || differs(old, r) {
			changed = append(changed, r)
		}
	}
	for id, r := range w.seen {
		if _, ok := now[id]; !ok && w.Limit == 0 {
			r.Status.Phase, r.Status.Message = phaseGone, "it is deleted, or does not match any more"
			changed = append(changed, r)
		}
	}
	w.seen = now
	if w.format.kind != "" && w.format.kind != "table" && w.format.kind != "wide" {
		for _, r := range changed {
			if err := w.session.show(w.format, view{answer: r.answer, names: []string{r.title()}}); err != nil {
				return err
			}
		}
		return nil
	}
	return w.print(all, changed)
}

// print writes the rows of what has changed, with columns as wide as those of all.
func (w *watcher) print(all, changed []resource) error {
	if len(changed) == 0 {
		return nil
	}
	lines, err := w.tableOf(append(changed, all...), w.format.kind == "wide").lines(w.colour)
	if err != nil {
		return err
	}
	from := 1
	if !w.headed {
		from, w.headed = 0, true
	}
	for _, l := range lines[from : 1+len(changed)] {
		if _, err := fmt.Fprint(w.out, l); err != nil {
			return err
		}
	}
	return nil
}

// differs reports whether a change is worth a line: heartbeats and the passing of time are not.
func differs(a, b resource) bool {
	return a.ResourceVersion != b.ResourceVersion || a.Status.Phase != b.Status.Phase || a.Status.Message != b.Status.Message
}
