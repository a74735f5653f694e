package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func eventsCommand(g *globals) *cobra.Command {
	var (
		limit int
		f     format
	)
	cmd := &cobra.Command{
		Use: "events [KIND] NAME", Short: "Show what has happened to something, the latest last", Example: "  cls events hello --limit 20",
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many of the latest; 0 for all")
	f.addFlag(cmd)
	return g.aboutOne(cmd, func(ctx context.Context, s *session, r resource) error {
		t, err := r.timeline(ctx, limit)
		if err != nil {
			return err
		}
		names := each(t.Events, func(e v1.TimelineEntry) string { return "event/" + e.ID })
		return s.show(f, view{t, names, func(wide bool) error { return eventTable(t, wide).write(s.out, s.colour) }})
	})
}

// timeline reads the latest of what has happened to a resource; all of it when limit is 0.
func (r resource) timeline(ctx context.Context, limit int) (v1.Timeline, error) {
	t := v1.Timeline{Events: []v1.TimelineEntry{}}
	if limit < 0 {
		return t, usage("0 is for all", "--limit may not be less than 0")
	}
	for e, err := range r.kind.events(ctx, r.ID, client.PageOptions{Limit: min(cmp.Or(limit, biggestPage), biggestPage)}) {
		if err != nil {
			return t, err
		}
		t.Events = append(t.Events, e)
		if len(t.Events) == limit {
			break
		}
	}
	t.Limit = len(t.Events)
	return t, nil
}

// eventTable is a timeline in the order of time, for people, who read downwards.
func eventTable(timeline v1.Timeline, wide bool) *table {
	t := &table{header: []string{"TIME", "WHAT", "GENERATION", "WHO", "DETAIL"}}
	if wide {
		t.header = append(t.header, "REQUEST")
	}
	for _, e := range slices.Backward(timeline.Events) {
		cells := []string{clock(e.Time), e.What, number(e.Generation), dash(cmp.Or(e.ControllerName, e.UserEmail)), detailOf(e)}
		if wide {
			cells = append(cells, dash(e.RequestID))
		}
		t.add(cells...)
	}
	return t
}

// detailOf says what an entry is about.
func detailOf(e v1.TimelineEntry) string {
	if e.What != v1.TimelineReport {
		return strings.TrimSpace(e.EventType + " " + mark(e.Reason != "", "("+e.Reason+")"))
	}
	text := conditionText(e.Conditions)
	if e.ErrorType != "" {
		text = strings.TrimPrefix(text+"; "+errorText(e.ErrorType, e.ErrorCode, ""), "; ")
	}
	return text
}
