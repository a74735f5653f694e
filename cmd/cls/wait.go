package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func waitCommand(g *globals) *cobra.Command {
	var (
		goal    string
		cluster string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "wait [KIND] NAME...",
		Short: "Wait until something is Ready, or gone",
		Long: "Wait until a condition of a cluster or node pool holds for its current generation, or until it is gone; of several, until that\n" +
			"is so of each. KIND is cluster where it is left out. A line on standard error says how it goes.\n\n" +
			"It ends with 0 when it has come to that, with 124 when the time was up, and with 1 when something else went wrong: so it does\n" +
			"at once where it waits for Ready and a controller reports an error that is not retried (Configuration or Fatal) or Failed=True.\n" +
			"An error that is retried, and a progress deadline that has passed, are waited out.",
		Example: "  cls wait hello\n" +
			"  cls wait cluster hello world --for=condition=Available --timeout=10m\n" +
			"  cls wait hello --for=condition=Progressing=False\n" +
			"  cls wait nodepool workers --cluster hello --for=delete",
		ValidArgsFunction: g.completeTargets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			w, err := parseGoal(goal)
			if err != nil {
				return err
			}
			return s.waitFor(ctx, w, args, cluster, timeout)
		}),
	}
	cmd.Flags().StringVar(&goal, "for", "condition=Ready",
		"condition=TYPE, condition=TYPE=STATUS where that is not True, or delete; TYPE is "+strings.Join(conditionTypes(), ", "))
	g.clusterFlag(cmd, &cluster)
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for all of them together; 0 to look once")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(
		[]string{"condition=Ready", "condition=Available", "condition=Progressing=False", "condition=Degraded=False", "delete"},
		cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// goal is what to wait for.
type goal struct {
	condition client.Condition
	deletion  bool
}

// String is the goal as a sentence has it.
func (g goal) String() string {
	switch {
	case g.deletion:
		return "to be gone"
	case g.condition.Status == v1.ConditionTrue:
		return "to be " + g.condition.Type
	}
	return "to have " + g.condition.Type + "=" + string(g.condition.Status)
}

func parseGoal(text string) (goal, error) {
	if text == "delete" {
		return goal{deletion: true}, nil
	}
	const hint = "--for=condition=Ready, --for=condition=Ready=False and --for=delete are examples"
	rest, ok := strings.CutPrefix(text, "condition=")
	if !ok {
		return goal{}, usage(hint, "%q is nothing to wait for", text)
	}
	name, status, given := strings.Cut(rest, "=")
	if !given {
		status = string(v1.ConditionTrue)
	}
	known := spelled(name, conditionTypes())
	if known == "" {
		return goal{}, usage("conditions are "+strings.Join(conditionTypes(), ", "), "%q is no condition", name)
	}
	is := spelled(status, []string{string(v1.ConditionTrue), string(v1.ConditionFalse), string(v1.ConditionUnknown)})
	if is == "" {
		return goal{}, usage("it is True, False or Unknown", "%q is no status of a condition", status)
	}
	return goal{condition: client.Condition{Type: known, Status: v1.ConditionStatus(is)}}, nil
}

// conditionTypes are those that a status has.
func conditionTypes() []string {
	return []string{v1.ConditionReady, v1.ConditionAvailable, v1.ConditionProgressing, v1.ConditionDegraded, v1.ConditionDeleting}
}

// spelled is a word as it is spelled among those that are known, whatever its case; "" when it is not among them.
func spelled(word string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(k, word) {
			return k
		}
	}
	return ""
}

// limit bounds a wait. One of no time is bounded by its first look, see await.
func limit(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, context.DeadlineExceeded)
}

// waitFor waits for one after the other, for all of them no longer than the timeout.
func (s *session) waitFor(ctx context.Context, g goal, args []string, cluster string, timeout time.Duration) error {
	limited, cancel := limit(ctx, timeout)
	defer cancel()
	named, err := refs("", args, cluster)
	if err != nil {
		return err
	}
	for _, n := range named {
		r, err := s.find(limited, n)
		switch {
		case g.deletion && errors.Is(err, client.ErrNotFound):
			_, err = fmt.Fprintln(s.out, n.title(), "is gone")
		case err != nil && limited.Err() != nil && ctx.Err() == nil: // The service is too slow to say anything.
			err = inVain(err, v1.Status{}, g, n.title(), timeout)
		case err == nil:
			err = s.await(limited, g, r, timeout)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// await waits for one, and says how it goes. With a timeout of 0 it looks once.
func (s *session) await(ctx context.Context, g goal, r resource, timeout time.Duration) error {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	line := &progressLine{w: s.err, terminal: s.terminal}
	told := func(st v1.Status) {
		line.say(r.title() + ": " + string(st.Phase) + ", " + st.Message)
		if timeout <= 0 {
			giveUp()
		}
	}
	var err error
	done := "condition met"
	if g.deletion {
		done, err = "is gone", r.kind.waitGone(ctx, r.ID, told)
	} else {
		g.condition.Watch = told
		if g.condition.Type == v1.ConditionReady && g.condition.Status == v1.ConditionTrue {
			g.condition.Hopeless = func(st v1.Status) error { return r.hopeless(ctx, st) }
		}
		err = r.kind.wait(ctx, r.ID, g.condition)
	}
	line.clear()
	if e, ok := errors.AsType[*client.WaitError](err); ok {
		return inVain(e, e.Last, g, r.title(), timeout)
	}
	if errors.Is(err, client.ErrNotFound) {
		return missing(r.kind.name, r.Name)
	}
	if err == nil {
		_, err = fmt.Fprintln(s.out, r.title(), done)
	}
	return err
}

// controllerFailed is the reason of a status that is Failed because of what a controller reports, and not of the time.
const controllerFailed = "ControllerFailed"

// hopeless is why a resource cannot become Ready, as long as nothing changes: a controller reports of its generation what is not
// retried. It is nil where there is hope, as there is with any other failure.
func (r resource) hopeless(ctx context.Context, st v1.Status) error {
	if st.Reason != controllerFailed {
		return nil
	}
	now, err := r.kind.status(ctx, r.ID) // The status, the reports and the generation of one moment.
	if err != nil || now.Status.Reason != controllerFailed {
		return err
	}
	var why []string
	for _, c := range now.ControllerStatus {
		if c.ObservedGeneration == now.Generation && final(c) {
			why = append(why, c.ControllerName+" reports "+finalWords(c))
		}
	}
	if len(why) == 0 {
		return nil
	}
	const hint = "cls explain %[1]s says more; cls edit %[1]s changes what is asked for, " +
		"and cls reconcile %[1]s has it tried again once it is mended"
	return usage(fmt.Sprintf(hint, r.title()), "%s cannot become Ready: %s; that is not retried until something changes",
		r.title(), oneLine(strings.Join(why, ", ")))
}

// inVain is the failure of a wait whose time was up.
func inVain(err error, last v1.Status, g goal, title string, timeout time.Duration) error {
	f := &failure{
		message: fmt.Sprintf("waited %v in vain for %s %v", timeout, title, g),
		hint:    "cls explain " + title + " says why",
		code:    exitTimeout, err: err,
	}
	if last.Phase != "" {
		f.message += fmt.Sprintf("; it is %s: %s", last.Phase, last.Message)
	}
	return f
}

// progressLine says how something goes: in one line that is written anew on a terminal, and in a line a change elsewhere.
type progressLine struct {
	w        io.Writer
	terminal bool
	last     string
}

// anew empties the line of a terminal (ECMA-48, EL).
const anew = "\r\x1b[K"

// narrow is how much of a line fits into any terminal.
const narrow = 79

// say shows a line unless it is there already.
func (p *progressLine) say(line string) {
	line = oneLine(line)
	if line == p.last {
		return
	}
	p.last = line
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	if runes := []rune(line); len(runes) > narrow {
		line = string(runes[:narrow-1]) + "…"
	}
	fmt.Fprint(p.w, anew+line)
}

// clear removes the line from a terminal.
func (p *progressLine) clear() {
	if p.terminal && p.last != "" {
		fmt.Fprint(p.w, anew)
	}
}
