package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func statusCommand(g *globals) *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use: "status [KIND] NAME", Short: "Show what each controller has reported",
		Example: "  cls status hello\n  cls status nodepool workers --cluster hello -o wide",
	}
	f.addFlag(cmd)
	return g.aboutOne(cmd, func(ctx context.Context, s *session, r resource) error {
		st, err := r.kind.status(ctx, r.ID)
		if err != nil {
			return err
		}
		names := each(st.ControllerStatus, func(c v1.ControllerStatus) string { return "controller/" + c.ControllerName })
		return s.show(f, view{st.answer, names, func(wide bool) error {
			fmt.Fprintf(s.out, "%s is %s: %s\n", r.title(), st.Status.Phase, oneLine(st.Status.Message))
			if len(st.ControllerStatus) == 0 {
				return nil
			}
			fmt.Fprintln(s.out)
			return reportTable(st, wide).write(s.out, s.colour)
		}})
	})
}

// reportTable is the controllers' reports.
func reportTable(st report, wide bool) *table {
	t := &table{header: []string{"CONTROLLER", "GENERATION", "AVAILABLE", "REASON", "REPORTED", "MESSAGE"}}
	if wide {
		t.header = append(t.header, "CONDITIONS")
	}
	now := time.Now()
	for _, c := range st.ControllerStatus {
		a := reported(c, v1.ConditionAvailable)
		cells := []string{
			c.ControllerName, progressOf(c.ObservedGeneration, st.Generation), cmp.Or(string(a.Status), "-"),
			dash(a.Reason), age(c.LastUpdated, now), sayReport(c),
		}
		if wide {
			cells = append(cells, conditionText(c.Conditions))
		}
		t.add(cells...)
	}
	return t
}

// reported is a condition of a report; zero when it has none of the type.
func reported(c v1.ControllerStatus, kind string) v1.ReportedCondition {
	i := slices.IndexFunc(c.Conditions, func(r v1.ReportedCondition) bool { return r.Type == kind })
	if i < 0 {
		return v1.ReportedCondition{}
	}
	return c.Conditions[i]
}

// sayReport is what a report says in a sentence: its error before anything else.
func sayReport(c v1.ControllerStatus) string {
	if e := c.LastError; e != nil {
		return errorText(e.ErrorType, e.ErrorCode, e.Message)
	}
	for _, kind := range []string{v1.ConditionFailed, v1.ConditionAvailable, v1.ConditionFinalized} {
		if r := reported(c, kind); r.Message != "" {
			return r.Message
		}
	}
	return ""
}

// final reports whether a report says that trying again cannot help. Of a condition Failed an error knows better.
func final(c v1.ControllerStatus) bool {
	if e := c.LastError; e != nil {
		return e.ErrorType == v1.ErrorConfiguration || e.ErrorType == v1.ErrorFatal
	}
	return reported(c, v1.ConditionFailed).Status == v1.ConditionTrue
}

// finalWords is what a final report says.
func finalWords(c v1.ControllerStatus) string {
	if c.LastError != nil {
		return sayReport(c)
	}
	failed := reported(c, v1.ConditionFailed)
	words := cmp.Or(failed.Message, failed.Reason)
	return "Failed=True" + mark(words != "", ": "+words)
}

func errorText(kind, code, message string) string {
	text := kind + " error"
	if code != "" {
		text += " " + code
	}
	if message != "" {
		text += ": " + message
	}
	return text
}

// conditionText is Available=True,Failed=False.
func conditionText(all []v1.ReportedCondition) string {
	return strings.Join(each(all, func(c v1.ReportedCondition) string { return c.Type + "=" + string(c.Status) }), ",")
}

// healthy reports whether a report needs nobody's attention: it is of the current generation, available and without error.
func healthy(c v1.ControllerStatus, generation int64) bool {
	return c.ObservedGeneration == generation && c.LastError == nil &&
		reported(c, v1.ConditionAvailable).Status == v1.ConditionTrue && reported(c, v1.ConditionFailed).Status != v1.ConditionTrue
}
