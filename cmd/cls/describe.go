package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func describeCommand(g *globals) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use: "describe [KIND] NAME...", Short: "Show all there is to know of something",
		Example:           "  cls describe cluster hello\n  cls describe controller dns",
		ValidArgsFunction: g.completeTargets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			named, err := refs("", args, cluster)
			if err != nil {
				return err
			}
			for i, n := range named {
				if i > 0 {
					fmt.Fprintln(s.out)
				}
				if err := s.describe(ctx, n); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	g.clusterFlag(cmd, &cluster)
	return cmd
}

// lastEvents is how many events a description ends with.
const lastEvents = 10

func (s *session) describe(ctx context.Context, n ref) error {
	if n.kind == "controllers" {
		c, err := s.controller(ctx, n)
		if err != nil {
			return err
		}
		return describeController(s.out, c)
	}
	r, err := s.find(ctx, n)
	if err != nil {
		return err
	}
	st, err := r.kind.status(ctx, r.ID)
	if err != nil {
		return err
	}
	events, err := r.timeline(ctx, lastEvents)
	if err != nil {
		return err
	}
	if err := s.describeSelf(ctx, r); err != nil {
		return err
	}
	if err := s.section("Conditions", conditionTable(st.Status)); err != nil {
		return err
	}
	if err := s.section("Reports", reportTable(st, true)); err != nil {
		return err
	}
	if r.kind.name == "cluster" {
		if err := s.describePools(ctx, r); err != nil {
			return err
		}
	}
	return s.section("Events", eventTable(events, false))
}

// describeSelf prints what a resource is and what is asked for.
func (s *session) describeSelf(ctx context.Context, r resource) error {
	rows := [][2]string{{"Name", r.Name}, {"ID", r.ID}}
	if r.ClusterID != "" {
		c, err := s.clusters().get(ctx, r.ClusterID)
		if err != nil {
			return err
		}
		rows = append(rows, [2]string{"Cluster", c.Name + " (" + c.ID + ")"})
	}
	rows = append(rows, [][2]string{
		{"Owner", r.CreatedBy},
		{"Project", r.project},
		{"Description", r.Description},
		{"Platform", r.Spec.Platform()},
		{"Labels", labelText(r.Labels)},
		{"Created", clock(r.CreatedAt) + " (" + age(r.CreatedAt, time.Now()) + " ago)"},
		{"Updated", clock(r.UpdatedAt)},
		{"Deletion", deletionText(r)},
		{"Paused", mark(r.Paused, "yes: controllers are not woken for it")},
		{"Protected", mark(r.DeletionProtection, "yes: it cannot be deleted")},
		{"Generation", fmt.Sprintf("%d, observed %d", r.Generation, r.Status.ObservedGeneration)},
		{"Phase", string(r.Status.Phase) + " (" + r.Status.Reason + ")"},
		{"Message", r.Status.Message},
	}...)
	if err := facts(s.out, rows); err != nil {
		return err
	}
	return s.describeSpec(r.Spec)
}

func deletionText(r resource) string {
	if r.DeletionTimestamp == nil {
		return ""
	}
	return "asked for at " + clock(*r.DeletionTimestamp)
}

// describeSpec prints the spec, its first level only where it is long.
func (s *session) describeSpec(spec v1.Object) error {
	text, err := toYAML([]byte(spec.String()))
	if err != nil {
		return err
	}
	if strings.Count(string(text), "\n") > 40 {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(spec), &fields); err != nil {
			return fmt.Errorf("read the spec: %w", err)
		}
		for name, v := range fields {
			if len(v) > 100 {
				fields[name] = json.RawMessage(`"... (cls get -o yaml shows it)"`)
			}
		}
		if spec, err = json.Marshal(fields); err != nil {
			return fmt.Errorf("write the spec: %w", err)
		}
		if text, err = toYAML([]byte(spec)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.out, "Spec:\n  %s\n", strings.ReplaceAll(strings.TrimSpace(clean(string(text))), "\n", "\n  "))
	return err
}

func (s *session) describePools(ctx context.Context, r resource) error {
	pools, err := s.nodePools().all(ctx, filter{ClusterID: r.ID})
	if err != nil {
		return err
	}
	t := &table{header: []string{"NAME", "PHASE", "GENERATION", "MESSAGE"}}
	for _, p := range pools.resources {
		t.add(p.Name, string(p.Status.Phase), progressOf(p.Status.ObservedGeneration, p.Generation), p.Status.Message)
	}
	return s.section("Node pools", t)
}

func conditionTable(st v1.Status) *table {
	t := &table{header: []string{"TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"}}
	now := time.Now()
	for _, c := range st.Conditions {
		t.add(c.Type, string(c.Status), age(c.LastTransitionTime, now), c.Reason, c.Message)
	}
	return t
}

// section prints a table under a title; "none" when it has no rows.
func (s *session) section(title string, t *table) error {
	if len(t.rows) == 0 {
		_, err := fmt.Fprintf(s.out, "%s: none\n", title)
		return err
	}
	lines, err := t.lines(s.colour)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s:\n  %s", title, strings.Join(lines, "  "))
	return err
}

func describeController(w io.Writer, c v1.Controller) error {
	heartbeat, retired := "never", ""
	if c.LastHeartbeat != nil {
		heartbeat = clock(*c.LastHeartbeat) + " (" + age(*c.LastHeartbeat, time.Now()) + " ago)"
	}
	if c.RetiredAt != nil {
		retired = clock(*c.RetiredAt)
	}
	return facts(w, [][2]string{
		{"Name", c.Name},
		{"Registered", yesNo(c.Registered)},
		{"Platforms", orAll(c.Platforms)},
		{"Kinds", orAll(c.Kinds)},
		{"Required", yesNo(c.Required)},
		{"Finalizes", yesNo(c.Finalizes)},
		{"First seen", clock(c.FirstSeenAt)},
		{"Retired", retired},
		{"Heartbeat", heartbeat},
		{"Clusters", number(c.Clusters)},
		{"Node pools", number(c.NodePools)},
		{"Behind on", number(c.Lag)},
	})
}

// facts prints names and values, without those that have none.
func facts(out io.Writer, rows [][2]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(w, "%s:\t%s\n", r[0], oneLine(r[1]))
		}
	}
	return w.Flush()
}
