package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func patchCommand(g *globals) *cobra.Command {
	var (
		patch, cluster string
		dry            dryRun
		f              format
	)
	cmd := &cobra.Command{
		Use:   "patch KIND NAME -p PATCH",
		Short: "Change parts of something",
		Long:  "Patch merges a JSON Merge Patch (RFC 7396): what it does not name keeps its value, and null removes.",
		Example: "  cls patch cluster hello -p '{\"spec\":{\"nodes\":5},\"labels\":{\"team\":null}}'\n" +
			"  cls patch cluster hello -p '{\"paused\":true}'",
		ValidArgsFunction: completer{g}.targets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			body, err := readObject("a patch", patch, s.in)
			if err != nil {
				return err
			}
			old, err := s.one(ctx, args, cluster)
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
		}),
	}
	cmd.Flags().StringVarP(&patch, "patch", "p", "", "the patch: JSON, a file, or - for standard input")
	_ = cmd.MarkFlagRequired("patch")
	clusterFlag(g, cmd, &cluster)
	dry.addFlag(cmd)
	f.addFlag(cmd)
	return cmd
}

// clusterFlag adds --cluster, which says where a node pool is.
func clusterFlag(g *globals, cmd *cobra.Command, cluster *string) {
	cmd.Flags().StringVar(cluster, "cluster", "", "cluster that node pools are of")
	_ = cmd.RegisterFlagCompletionFunc("cluster", completer{g}.clusters)
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
		ValidArgsFunction: completer{g}.targets,
		RunE:              g.with(func(ctx context.Context, s *session, args []string) error { return s.remove(ctx, d, args) }),
	}
	f := cmd.Flags()
	f.BoolVar(&d.force, "force", false, "wait for no controller any more, where the deletion is under way")
	f.StringVar(&d.reason, "reason", "", "why it is forced; kept with who did")
	f.BoolVar(&d.wait, "wait", false, "wait until it is gone")
	f.DurationVar(&d.timeout, "timeout", 5*time.Minute, "how long to wait")
	clusterFlag(g, cmd, &d.cluster)
	d.dryRun.addFlag(cmd)
	return cmd
}

func (s *session) remove(ctx context.Context, d *deletion, args []string) error {
	if d.reason != "" && !d.force {
		return usage("--force --reason goes together", "--reason says why a deletion is forced, and there is no --force")
	}
	if len(args) > 0 && ofControllers(args) {
		return s.retire(ctx, d, args)
	}
	found, err := s.locate(ctx, args, false, d.cluster)
	if err != nil {
		return err
	}
	for _, r := range found {
		o := d.dryRun.options()
		if d.force {
			o = append(o, client.Force(d.reason))
		}
		answer, err := r.kind.remove(ctx, r.ID, o...)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: %s%s\n", r.title(), oneLine(answer.Message), d.dryRun.suffix())
	}
	if !d.wait || d.dryRun != "" {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	for _, r := range found {
		if err := s.await(limited, goal{deletion: true}, r, d.timeout, cancel); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) retire(ctx context.Context, d *deletion, args []string) error {
	named, err := refs(args, false)
	if err != nil {
		return err
	}
	for _, n := range named {
		c, err := s.controller(ctx, n)
		if err != nil {
			return err
		}
		if err := s.api.RetireController(ctx, c.Name, d.dryRun.options()...); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "controller/%s retired%s\n", oneLine(c.Name), d.dryRun.suffix())
	}
	return nil
}

func reconcileCommand(g *globals) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use: "reconcile [KIND] NAME...", Short: "Wake the controllers of something now", Example: "  cls reconcile hello",
		ValidArgsFunction: completer{g}.targets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			found, err := s.locate(ctx, args, true, cluster)
			if err != nil {
				return err
			}
			for _, r := range found {
				var answer v1.Reconciliation
				if answer, err = r.kind.reconcile(ctx, r.ID); err != nil {
					return err
				}
				fmt.Fprintf(s.out, "%s: %s\n", r.title(), oneLine(answer.Message))
			}
			return nil
		}),
	}
	clusterFlag(g, cmd, &cluster)
	return cmd
}
