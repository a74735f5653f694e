package main

import (
	"slices"
	"time"

	"github.com/cls-backend/cls-backend/test/proof"
)

// add writes down what came of a steady state, with bars where it is judged.
func (s *section) add(f steadied) {
	at := f.name + ": "
	figure := func(what string, value float64, unit string, bar float64) proof.Figure {
		if f.judged {
			return proof.AtMost(at+what, value, unit, bar)
		}
		return proof.Measured(at+what, value, unit)
	}
	time99 := func(what string, list []sample) []proof.Figure {
		return []proof.Figure{
			proof.Measured(at+what+", p50", milliseconds(percentile(list, 0.5)), "ms"),
			proof.Measured(at+what+", p99", milliseconds(percentile(list, 0.99)), "ms"),
		}
	}
	must, off := 0.0, 0
	for _, l := range f.lanes {
		must, off = must+l.must, off+l.off
	}
	seconds, lateness, written := f.watched.seconds(), f.watched.lateness(), f.watched.total()
	plot := overTime("steady, "+f.name, min(f.took/3, 10*time.Second), []lineOver{
		{"reads, p99", f.reads.samples, 0.99},
		{"reports, p99", f.reports, 0.99},
		{"event to eighth report, p99", f.answered, 0.99},
		{"wake-ups late, p99", lateness, 0.99},
		{"wake-ups late, p50", lateness, 0.5},
	})
	s.Figures = append(s.Figures,
		proof.Measured(at+"events", float64(written)/seconds, "a second"),
		proof.Measured(at+"reports", float64(len(f.reports))/f.took.Seconds(), "a second"))
	if f.judged {
		s.Figures = append(s.Figures,
			proof.AtLeast(at+"events, by those that the lanes must give", float64(written)/must, "", needed),
			proof.AtMost(at+"events, by those that the lanes may give", float64(written)/must, "", 2-needed))
	} else {
		s.Figures = append(s.Figures, proof.Measured(at+"events, by those that the lanes would give", float64(written)/must, ""))
	}
	s.Figures = append(s.Figures,
		figure("wake-ups that wrote no event or two", float64(f.watched.unequal()), "", 0),
		figure("clusters woken less or more often than their lane says", float64(off), "", 0),
		figure("events that the controllers have not had", float64(f.undelivered), "", 0),
		proof.Measured(at+"events delivered again", float64(f.again), ""),
		proof.Measured(at+"requests of controllers that were refused (503)", float64(f.refused), ""),
		figure("reads that were refused (503)", float64(f.reads.refused), "", 0),
		proof.Measured(at+"reads, p50", milliseconds(percentile(f.reads.samples, 0.5)), "ms"),
		figure("reads, p99", milliseconds(percentile(f.reads.samples, 0.99)), "ms", milliseconds(readBar)),
		proof.Measured(at+"reads, p99 of the middle one of all steps of the plot", middleOf(plot.Series[0]), "ms"),
		proof.Measured(at+"reads, p99.9", milliseconds(percentile(f.reads.samples, 0.999)), "ms"),
		proof.Measured(at+"sent late by the generator itself, p99", milliseconds(f.reads.late), "ms"))
	s.Figures = append(s.Figures, time99("reports", f.reports)...)
	s.Figures = append(s.Figures,
		proof.Measured(at+"wake-ups are late by, p50", milliseconds(percentile(lateness, 0.5)), "ms"),
		figure("wake-ups are late by, p99", milliseconds(percentile(lateness, 0.99)), "ms", milliseconds(latenessBar)))
	s.Figures = append(s.Figures, time99("from an event's writing to the last of eight reports", f.answered)...)
	s.Figures = append(s.Figures,
		proof.Measured(at+"CPU of the service", 100*f.used.process.Seconds()/f.took.Seconds(), "% of a core"),
		proof.Measured(at+"CPU of PostgreSQL", 100*f.used.postgres.Seconds()/f.took.Seconds(), "% of a core"),
		figure("memory of the service", float64(f.memory)/(1<<20), "MiB", memoryBar),
		proof.Measured(at+"write-ahead log", float64(f.used.wal)/1000/f.took.Seconds(), "kB a second"),
		proof.Measured(at+"events not yet published at the end", float64(f.unpublished), ""))

	t := table{Title: "The lanes, " + f.name + ":", Header: []string{
		"Lane", "clusters", "events due", "written", "of a cluster, least", "most",
	}}
	for _, l := range f.lanes {
		t.add(l.name, l.clusters, whole(l.must), l.events, l.least, l.most)
	}
	s.Tables = append(s.Tables, t)
	s.Plots = append(s.Plots, plot)
}

// lineOver is a line of a plot over time: a percentile of some samples.
type lineOver struct {
	name    string
	samples []sample
	share   float64
}

// overTime draws a percentile of the samples of every so long.
func overTime(title string, every time.Duration, lines []lineOver) proof.Plot {
	p := proof.Plot{
		Title: title, X: proof.Axis{Label: "seconds, in steps of " + proof.Number(every.Seconds())},
		Y: proof.Axis{Label: "ms", Log: true},
	}
	for _, l := range lines {
		steps := map[int][]sample{}
		last := 0
		for _, s := range l.samples {
			n := max(0, int(s.at/every)) // What was due before the beginning counts as due then.
			steps[n] = append(steps[n], s)
			last = max(last, n)
		}
		series := proof.Series{Name: l.name}
		for n := range last + 1 {
			if len(steps[n]) > 0 {
				series.Points = append(series.Points, proof.Point{
					X: (time.Duration(n) * every).Seconds(), Y: milliseconds(percentile(steps[n], l.share)),
				})
			}
		}
		p.Series = append(p.Series, series)
	}
	return p
}

// middleOf is the median of a line. What disturbs the machine for a while does not move it.
func middleOf(l proof.Series) float64 {
	var values []float64
	for _, p := range l.Points {
		values = append(values, p.Y)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
