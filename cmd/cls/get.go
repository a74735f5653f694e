package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// query is what get and watch are asked.
type query struct {
	filter

	cmd     *cobra.Command
	cluster string
	status  string
	sortBy  string
	format  format
	watch   bool
	every   time.Duration
}

// addFlags adds those that a kind has a use for; "" is for all kinds.
func (q *query) addFlags(g *globals, cmd *cobra.Command, plural string) {
	q.cmd = cmd
	q.format.addFlag(cmd)
	if plural == "controllers" {
		return
	}
	f := cmd.Flags()
	f.StringVarP(&q.LabelSelector, "selector", "l", "", "labels that it has: env=prod,tier!=test")
	f.StringVar(&q.status, "status", "", "phase that it is in: "+phases(", "))
	f.StringVar(&q.Platform, "platform", "", "platform that it is on")
	f.StringVar(&q.sortBy, "sort-by", "", "name, created_at or updated_at; with a - before it from the greatest (default -created_at)")
	f.IntVar(&q.Limit, "limit", 0, "how many at most; 0 for all")
	f.DurationVar(&q.every, "interval", time.Second, "how often to look for changes while watching")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(strings.Fields(phases(" ")), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("sort-by",
		cobra.FixedCompletions([]string{"name", "created_at", "updated_at"}, cobra.ShellCompDirectiveNoFileComp))
	if plural != "clusters" {
		g.clusterFlag(cmd, &q.cluster)
	}
}

func phases(between string) string {
	return strings.Join(each(v1.Phases(), func(p v1.Phase) string { return string(p) }), between)
}

// check refuses flags that would have no effect on what the arguments name.
func (q *query) check(args []string) (err error) {
	filters := []string{"selector", "status", "platform", "sort-by", "limit"}
	switch {
	case ofControllers(args) && q.watch:
		return usage("clusters and nodepools are", "controllers cannot be watched")
	case ofControllers(args):
		return unfit(q.cmd, "controllers", append(filters, "cluster", "interval")...)
	case isList(args) && canonical(args[0]) == "clusters":
		err = unfit(q.cmd, "clusters", "cluster")
	case !isList(args):
		err = unfit(q.cmd, "what is named", filters...)
	}
	if err == nil && !q.watch {
		err = unfit(q.cmd, "what is not watched", "interval")
	}
	return err
}

// isList reports whether arguments are about all of a kind.
func isList(args []string) bool { return len(args) == 1 && canonical(args[0]) != "" }

// ofControllers reports whether arguments are about controllers.
func ofControllers(args []string) bool {
	word, _, _ := strings.Cut(args[0], "/")
	return canonical(word) == "controllers"
}

// settle turns the flags into what the service is asked.
func (q *query) settle(ctx context.Context, s *session) (err error) {
	for _, p := range v1.Phases() {
		if strings.EqualFold(string(p), q.status) {
			q.status = string(p)
		}
	}
	q.Status = v1.Phase(q.status)
	q.OrderBy = strings.Trim(q.sortBy, "{.}")
	if q.Limit < 0 {
		return usage("0 is for all", "--limit may not be less than 0")
	}
	if q.watch && q.every <= 0 {
		return usage("such as 1s", "--interval must be more than 0")
	}
	if q.cluster != "" {
		q.ClusterID, err = s.within(ctx, q.cluster)
	}
	return err
}

func getCommand(g *globals) *cobra.Command {
	q := &query{}
	cmd := &cobra.Command{
		Use:   "get KIND [NAME...]",
		Short: "Show clusters, node pools or controllers",
		Example: "  cls get clusters\n" +
			"  cls get clusters --status Failed -l env=prod -o wide\n" +
			"  cls get nodepools --cluster hello\n" +
			"  cls get cluster hello -o jsonpath={.status.phase}",
		ValidArgsFunction: g.completeTargets,
		RunE:              g.with(func(ctx context.Context, s *session, args []string) error { return get(ctx, s, q, args) }),
	}
	q.addFlags(g, cmd, "")
	q.addWatch(cmd)
	return cmd
}

func (q *query) addWatch(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&q.watch, "watch", "w", false, "then show changes as they come, until Ctrl-C")
}

// shortWay is get for one kind.
func shortWay(g *globals, plural string) *cobra.Command {
	q := &query{}
	cmd := &cobra.Command{
		Use:               plural + " [NAME...]",
		Short:             "Short for cls get " + plural,
		ValidArgsFunction: g.completeNamesOf(plural),
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			return get(ctx, s, q, append([]string{plural}, args...))
		}),
	}
	q.addFlags(g, cmd, plural)
	if plural != "controllers" {
		q.addWatch(cmd)
	}
	return cmd
}

func get(ctx context.Context, s *session, q *query, args []string) error {
	if len(args) == 0 {
		return usage(kindsHint, "say what to get, such as cls get clusters")
	}
	if err := q.check(args); err != nil {
		return err
	}
	if ofControllers(args) {
		return s.getControllers(ctx, q.format, args)
	}
	if err := q.settle(ctx, s); err != nil {
		return err
	}
	if q.watch {
		return s.watch(ctx, q, args)
	}
	if isList(args) {
		k := s.kindOf(args[0])
		p, err := k.all(ctx, q.filter)
		if err != nil {
			return err
		}
		return s.showList(ctx, q, k, p)
	}
	found, err := s.locate(ctx, "get", args, q.cluster)
	if err != nil {
		return err
	}
	return s.showFound(ctx, q, found)
}

// showFound prints what was asked for by name: one as itself, several of a kind as a list.
func (s *session) showFound(ctx context.Context, q *query, found []resource) error {
	if len(found) == 1 {
		r := found[0]
		return s.show(q.format, view{r.answer, []string{r.title()}, func(wide bool) error { return s.tabulate(ctx, found, wide) }})
	}
	for _, r := range found {
		if r.kind.name != found[0].kind.name {
			return usage("get each kind for itself", "%s and %s have no list in common", found[0].title(), r.title())
		}
	}
	return s.showList(ctx, q, found[0].kind, page{resources: found, total: int64(len(found))})
}

func (s *session) showList(ctx context.Context, q *query, k *kind, p page) error {
	return s.show(q.format, view{k.list(p.resources, p), each(p.resources, resource.title), func(wide bool) error {
		if len(p.resources) == 0 {
			fmt.Fprintf(s.err, "no %s found\n", k.plural)
			return nil
		}
		return s.tabulate(ctx, p.resources, wide)
	}})
}

// tabulate prints resources of one kind as a table.
func (s *session) tabulate(ctx context.Context, all []resource, wide bool) error {
	if err := s.nameClusters(ctx, all); err != nil {
		return err
	}
	return s.tableOf(all, wide).write(s.out, s.colour)
}

// tableOf is resources of one kind as a table. Clusters that have no name in it are known by their ids.
func (s *session) tableOf(all []resource, wide bool) *table {
	t := &table{header: []string{"NAME", "PLATFORM", "PHASE", "GENERATION", "AGE", "MESSAGE"}}
	pools := len(all) > 0 && all[0].ClusterID != ""
	if pools {
		t.header = append([]string{"CLUSTER"}, t.header...)
	}
	if wide {
		t.header = append(t.header, "ID", "OWNER", "LABELS", "UPDATED")
	}
	now := time.Now()
	for _, r := range all {
		cells := []string{
			r.Name, dash(strings.ToLower(r.Spec.Platform())), string(r.Status.Phase), progressOf(r.Status.ObservedGeneration, r.Generation),
			age(r.CreatedAt, now), r.Status.Message + mark(r.Paused, " (paused)"),
		}
		if pools {
			cells = append([]string{cmp.Or(s.names[r.ClusterID], r.ClusterID)}, cells...)
		}
		if wide {
			cells = append(cells, r.ID, r.CreatedBy, dash(labelText(r.Labels)), clock(r.UpdatedAt))
		}
		t.add(cells...)
	}
	return t
}

// progressOf says which generation has been observed of which: 2, or 1/2 while controllers are behind.
func progressOf(observed, generation int64) string {
	if observed == generation {
		return number(generation)
	}
	return fmt.Sprintf("%d/%d", observed, generation)
}

// dash stands where there is nothing.
func dash(text string) string { return cmp.Or(text, "-") }

// fewNames is how many clusters are asked for one by one when their names are wanted.
const fewNames = 5

// nameClusters learns the names of the clusters of node pools that are not known yet. A cluster that is gone has none.
func (s *session) nameClusters(ctx context.Context, pools []resource) error {
	unknown := map[string]bool{}
	for _, r := range pools {
		if _, known := s.names[r.ClusterID]; r.ClusterID != "" && !known {
			unknown[r.ClusterID] = true
		}
	}
	if len(unknown) > fewNames {
		for p, err := range s.clusters().pages(ctx, filter{}) {
			if err != nil {
				return err
			}
			for _, c := range p.resources {
				s.names[c.ID] = c.Name
				delete(unknown, c.ID)
			}
			if len(unknown) == 0 {
				break
			}
		}
	}
	for id := range unknown {
		c, err := s.clusters().get(ctx, id)
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			return err
		}
		s.names[id] = c.Name
	}
	return nil
}

// getControllers prints the registry, or those of its entries that are named.
func (s *session) getControllers(ctx context.Context, f format, args []string) error {
	var list v1.ControllerList
	named, err := refs("get", args, "")
	switch {
	case isList(args):
		list, err = s.api.ListControllers(ctx)
		err = ofRegistry("", err)
	case err == nil:
		for _, n := range named {
			var c v1.Controller
			if c, err = s.controller(ctx, n); err != nil {
				return err
			}
			list.Controllers = append(list.Controllers, c)
		}
	}
	if err != nil {
		return err
	}
	names := each(list.Controllers, func(c v1.Controller) string { return "controller/" + c.Name })
	v := view{list, names, func(wide bool) error { return s.tabulateControllers(list.Controllers, wide) }}
	if len(named) == 1 {
		v.answer = list.Controllers[0]
	}
	return s.show(f, v)
}

func (s *session) tabulateControllers(all []v1.Controller, wide bool) error {
	if len(all) == 0 {
		fmt.Fprintln(s.err, "no controllers found")
		return nil
	}
	t := &table{header: []string{"NAME", "PLATFORMS", "KINDS", "REQUIRED", "FINALIZES", "CLUSTERS", "NODEPOOLS", "LAG", "HEARTBEAT"}}
	if wide {
		t.header = append(t.header, "REGISTERED", "FIRST SEEN", "RETIRED")
	}
	now := time.Now()
	for _, c := range all {
		heartbeat := "never"
		if c.LastHeartbeat != nil {
			heartbeat = age(*c.LastHeartbeat, now)
		}
		cells := []string{
			c.Name, orAll(c.Platforms), orAll(c.Kinds), yesNo(c.Required), yesNo(c.Finalizes),
			number(c.Clusters), number(c.NodePools), number(c.Lag), heartbeat,
		}
		if wide {
			retired := "-"
			if c.RetiredAt != nil {
				retired = clock(*c.RetiredAt)
			}
			cells = append(cells, yesNo(c.Registered), clock(c.FirstSeenAt), retired)
		}
		t.add(cells...)
	}
	return t.write(s.out, s.colour)
}

func yesNo(b bool) string { return cmp.Or(mark(b, "yes"), "no") }

// orAll is a list in which nothing means everything.
func orAll(list []string) string { return cmp.Or(strings.Join(list, ","), "all") }
