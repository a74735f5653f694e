package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func treeCommand(g *globals) *cobra.Command {
	var (
		whole   bool
		cluster string
	)
	cmd := &cobra.Command{
		Use: "tree [KIND] NAME", Short: "Show a cluster, its node pools and controllers, and hide what is well",
		Example:           "  cls tree hello --all",
		ValidArgsFunction: completer{g}.targets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			r, err := s.one(ctx, args, cluster)
			if err != nil {
				return err
			}
			root, err := s.branch(ctx, r)
			if err != nil {
				return err
			}
			root.draw(s, "", "", whole)
			return nil
		}),
	}
	clusterFlag(g, cmd, &cluster)
	cmd.Flags().BoolVar(&whole, "all", false, "show what is well too")
	return cmd
}

// node is a line of a tree, and what hangs on it.
type node struct {
	text     string
	well     bool
	children []node
}

// branch is a resource with its controllers, and a cluster with its node pools.
func (s *session) branch(ctx context.Context, r resource) (node, error) {
	st, err := r.kind.status(ctx, r.ID)
	if err != nil {
		return node{}, err
	}
	n := node{text: s.line(r.title(), string(st.Status.Phase), st.Status.Message), well: st.Status.Phase == v1.PhaseReady}
	for _, c := range st.ControllerStatus {
		n.children = append(n.children, s.leaf(c, st.Generation))
	}
	if r.kind.name != "cluster" {
		return n, nil
	}
	pools, err := s.nodePools().all(ctx, filter{ClusterID: r.ID})
	if err != nil {
		return node{}, err
	}
	for _, p := range pools.resources {
		b, err := s.branch(ctx, p)
		if err != nil {
			return node{}, err
		}
		n.children = append(n.children, b)
	}
	return n, nil
}

func (s *session) leaf(c v1.ControllerStatus, generation int64) node {
	a := reported(c, v1.ConditionAvailable)
	text := sayReport(c)
	if c.ObservedGeneration != generation {
		text = fmt.Sprintf("behind: it has reported on generation %d of %d", c.ObservedGeneration, generation)
	}
	return node{text: s.line("controller/"+c.ControllerName, string(a.Status), text), well: healthy(c, generation)}
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
