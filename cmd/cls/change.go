package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/client"
)

func patchCommand(g *globals) *cobra.Command {
	var (
		patch string
		dry   dryRun
		f     format
	)
	cmd := &cobra.Command{
		Use:   "patch [KIND] NAME -p PATCH",
		Short: "Change parts of something",
		Long:  "Patch merges a JSON Merge Patch (RFC 7396): what it does not name keeps its value, and null removes.",
		Example: "  cls patch cluster hello -p '{\"spec\":{\"nodes\":5},\"labels\":{\"team\":null}}'\n" +
			"  cls patch cluster hello -p '{\"paused\":true}'",
	}
	cmd.Flags().StringVarP(&patch, "patch", "p", "", "the patch: JSON, a file, or - for standard input")
	_ = cmd.MarkFlagRequired("patch")
	namesFile(cmd, "patch")
	dry.addFlag(cmd)
	f.addFlag(cmd)
	return g.aboutOne(cmd, func(ctx context.Context, s *session, old resource) error {
		body, err := readObject("a patch", patch, s.in, `{"paused":true}`)
		if err != nil {
			return err
		}
		r, err := old.kind.patch(ctx, old.ID, body, dry.options()...)
		if err != nil {
			return err
		}
		done := "patched"
		if old.same(r) {
			done = "patched (no change)"
		}
		return s.tell(f, r, done, dry)
	})
}

// deletion is what delete is told.
type deletion struct {
	cluster string
	force   bool
	reason  string
	wait    bool
	timeout time.Duration
	dryRun  dryRun
}

func deleteCommand(g *globals) *cobra.Command {
	d := &deletion{}
	cmd := &cobra.Command{
		Use:   "delete KIND NAME...",
		Short: "Delete clusters or node pools, or retire controllers",
		Long: "A deletion waits for the controllers that have something to take down. --force on what is being deleted already ends the\n" +
			"waiting; what they have not taken down stays behind.",
		Example: "  cls delete cluster hello --wait\n" +
			"  cls delete cluster hello --force --reason 'the account is closed'\n" +
			"  cls delete controller dns",
		ValidArgsFunction: g.completeTargets,
	}
	cmd.RunE = g.with(func(ctx context.Context, s *session, args []string) error {
		named, err := d.check(cmd, args)
		if err != nil {
			return err
		}
		return s.remove(ctx, d, named)
	})
	f := cmd.Flags()
	f.BoolVar(&d.force, "force", false, "wait for no controller any more, where the deletion is under way")
	f.StringVar(&d.reason, "reason", "", "why it is forced; kept with who did")
	f.BoolVar(&d.wait, "wait", false, "wait until it is gone; it ends with 124 when the time was up")
	f.DurationVar(&d.timeout, "timeout", 5*time.Minute, "how long to wait; 0 to look once")
	g.clusterFlag(cmd, &d.cluster)
	d.dryRun.addFlag(cmd)
	return cmd
}

// check reads the arguments, and refuses flags that would have no effect.
func (d *deletion) check(cmd *cobra.Command, args []string) ([]ref, error) {
	if d.reason != "" && !d.force {
		return nil, usage("--force --reason goes together", "--reason says why a deletion is forced, and there is no --force")
	}
	named, err := refs("delete", args, d.cluster)
	if err == nil && ofKind(named, "controllers") {
		err = unfit(cmd, "controllers", "wait", "timeout", "force", "cluster")
	}
	if err == nil && !d.wait {
		err = unfit(cmd, "a deletion without --wait", "timeout")
	}
	return named, err
}

func (s *session) remove(ctx context.Context, d *deletion, named []ref) error {
	var removed []resource
	err := forEach(named, func(n ref) error {
		if n.kind == "controllers" {
			return s.retire(ctx, d, n)
		}
		r, err := s.find(ctx, n)
		if err != nil {
			return err
		}
		o := d.dryRun.options()
		if d.force {
			o = append(o, client.Force(d.reason))
		}
		answer, err := r.kind.remove(ctx, r.ID, o...)
		if err != nil {
			return about(r.title(), err)
		}
		removed = append(removed, r)
		_, err = fmt.Fprintf(s.out, "%s: %s%s\n", r.title(), oneLine(answer.Message), d.dryRun.suffix())
		return err
	})
	if !d.wait || d.dryRun != "" {
		return err
	}
	limited, cancel := limit(ctx, d.timeout)
	defer cancel()
	return errors.Join(err, forEach(removed, func(r resource) error {
		return s.await(limited, goal{deletion: true}, r, d.timeout)
	}))
}

func (s *session) retire(ctx context.Context, d *deletion, n ref) error {
	err := ofRegistry(n.name, s.api.RetireController(ctx, n.name, d.dryRun.options()...))
	switch {
	case errors.Is(err, client.ErrNotFound):
		return err
	case err != nil:
		return about(n.title(), err)
	}
	_, err = fmt.Fprintf(s.out, "%s retired%s\n", oneLine(n.title()), d.dryRun.suffix())
	return err
}

func reconcileCommand(g *globals) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use: "reconcile [KIND] NAME...", Short: "Wake the controllers of something now", Example: "  cls reconcile hello",
		ValidArgsFunction: g.completeTargets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			named, err := refs("", args, cluster)
			if err != nil {
				return err
			}
			return forEach(named, func(n ref) error {
				r, err := s.find(ctx, n)
				if err != nil {
					return err
				}
				answer, err := r.kind.reconcile(ctx, r.ID)
				if err != nil {
					return about(r.title(), err)
				}
				_, err = fmt.Fprintf(s.out, "%s: %s\n", r.title(), oneLine(answer.Message))
				return err
			})
		}),
	}
	g.clusterFlag(cmd, &cluster)
	return cmd
}
