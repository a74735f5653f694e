package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func treeCommand(g *globals) *cobra.Command {
	var whole bool
	cmd := &cobra.Command{
		Use: "tree [KIND] NAME", Short: "Show a cluster, its node pools and controllers, and hide what is well",
		Example: "  cls tree hello --all",
	}
	cmd.Flags().BoolVar(&whole, "all", false, "show what is well too")
	return g.aboutOne(cmd, func(ctx context.Context, s *session, r resource) error {
		root, err := s.branch(ctx, r, whole)
		if err != nil {
			return err
		}
		root.draw(s, "", "", whole)
		return nil
	})
}

// node is a line of a tree, and what hangs on it.
type node struct {
	text     string
	well     bool
	children []node
}

// branch is a resource with its controllers, and a cluster with its node pools. Of those that are Ready it is not asked
// what would not be shown.
func (s *session) branch(ctx context.Context, r resource, whole bool) (node, error) {
	n := node{text: s.line(r.title(), string(r.Status.Phase), r.Status.Message), well: r.Status.Phase == v1.PhaseReady}
	var err error
	if whole || !n.well {
		if n.children, err = s.leaves(ctx, r); err != nil {
			return node{}, err
		}
	}
	if r.kind.name != "cluster" {
		return n, nil
	}
	pools, err := s.nodePools().all(ctx, filter{ClusterID: r.ID})
	if err != nil {
		return node{}, err
	}
	for _, p := range pools.resources {
		b, err := s.branch(ctx, p, whole)
		if err != nil {
			return node{}, err
		}
		n.children = append(n.children, b)
	}
	return n, nil
}

// leaves are the controllers of a resource: those that have reported, and those that are waited for and have not.
func (s *session) leaves(ctx context.Context, r resource) ([]node, error) {
	st, err := r.kind.status(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	why, err := r.kind.explain(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var all []node
	waited := map[string]v1.WaitedFor{}
	for _, w := range why.WaitingFor {
		waited[w.ControllerName] = w
	}
	for _, c := range st.ControllerStatus {
		all = append(all, s.leaf(c, st.Generation, waited[c.ControllerName]))
		delete(waited, c.ControllerName)
	}
	for _, w := range why.WaitingFor {
		if _, silent := waited[w.ControllerName]; silent {
			all = append(all, s.leaf(v1.ControllerStatus{ControllerName: w.ControllerName}, st.Generation, w))
		}
	}
	return all, nil
}

// leaf is a controller: what it has reported, or why it is waited for where that is not in its report.
func (s *session) leaf(c v1.ControllerStatus, generation int64, w v1.WaitedFor) node {
	text := sayReport(c)
	switch {
	case w.Why == v1.WaitFinalizer:
		text = cmp.Or(w.Message, "the deletion waits until it has let go")
	case w.Why == v1.WaitNeverReported:
		text = "it is required, and has not reported"
	case c.ObservedGeneration != generation:
		text = fmt.Sprintf("behind: it has reported on generation %d of %d", c.ObservedGeneration, generation)
	}
	state := string(reported(c, v1.ConditionAvailable).Status)
	return node{text: s.line("controller/"+c.ControllerName, state, text), well: w.Why == "" && healthy(c, generation)}
}

// line is a name, a state in its colour, and a sentence.
func (s *session) line(name, state, text string) string {
	state = dash(state)
	if s.colour {
		state = paint(state)
	}
	line := oneLine(name) + "  " + state
	if text = oneLine(text); text != "" {
		line += "  " + text
	}
	return line
}

// draw prints a node and what hangs on it. What is well all the way down is counted and not shown, unless whole is true.
func (n node) draw(s *session, first, indent string, whole bool) {
	fmt.Fprintln(s.out, first+n.text)
	var shown []node
	hidden := 0
	for _, c := range n.children {
		if whole || !c.wellBelow() {
			shown = append(shown, c)
		} else {
			hidden++
		}
	}
	if hidden > 0 {
		shown = append(shown, node{text: fmt.Sprintf("%d well (--all shows them)", hidden)})
	}
	for i, c := range shown {
		if i < len(shown)-1 {
			c.draw(s, indent+"├── ", indent+"│   ", whole)
		} else {
			c.draw(s, indent+"└── ", indent+"    ", whole)
		}
	}
}

// wellBelow reports whether a node and all that hangs on it are well.
func (n node) wellBelow() bool {
	for _, c := range n.children {
		if !c.wellBelow() {
			return false
		}
	}
	return n.well
}
