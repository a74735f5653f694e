package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func explainCommand(g *globals) *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use: "explain [KIND] NAME", Short: "Say in sentences why something is not Ready",
		Long: "Say in sentences whether a cluster or node pool is Ready and, if not, which controllers it waits for, why, since when and in\n" +
			"their own words, and when they are woken next. KIND is cluster where it is left out. -o wide adds a table of those waited for.",
		Example: "  cls explain hello\n" +
			"  cls explain nodepool workers --cluster hello -o wide",
	}
	f.addFlag(cmd)
	return g.aboutOne(cmd, func(ctx context.Context, s *session, r resource) error {
		e, err := r.kind.explain(ctx, r.ID)
		if err != nil {
			return err
		}
		return s.show(f, view{e, []string{r.title()}, func(wide bool) error {
			for _, sentence := range e.Sentences {
				fmt.Fprintln(s.out, oneLine(sentence))
			}
			if !wide || len(e.WaitingFor) == 0 {
				return nil
			}
			fmt.Fprintln(s.out)
			return waitingTable(e.WaitingFor).write(s.out, s.colour)
		}})
	})
}

// waitingTable is whom a resource waits for, and since when.
func waitingTable(all []v1.WaitedFor) *table {
	t := &table{header: []string{"CONTROLLER", "WHY", "SINCE", "MESSAGE"}}
	now := time.Now()
	for _, w := range all {
		since := "-"
		if w.Since != nil {
			since = age(*w.Since, now)
		}
		t.add(w.ControllerName, w.Why, since, w.Message)
	}
	return t
}
