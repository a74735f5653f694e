package main

import (
	"slices"
	"time"

	"github.com/cls-backend/cls-backend/test/proof"
)

// add writes down what came of a steady state, with bars where it is judged.
func (s *section) add(f steadied) {
	lateness := f.watched.lateness()
	plot := overTime("steady, "+f.name, min(f.took/3, 10*time.Second), []lineOver{
		{"reads, p99", f.reads.samples, 0.99},
		{"reports, p99", f.reports, 0.99},
		{"event to eighth report, p99", f.answered, 0.99},
		{"wake-ups late, p99", lateness, 0.99},
		{"wake-ups late, p50", lateness, 0.5},
	})
	s.Figures = slices.Concat(s.Figures, f.work(), f.latencies(lateness, middleOf(plot.Series[0])), f.uses())
	s.Tables = append(s.Tables, f.laneTable())
	s.Plots = append(s.Plots, plot)
}

func (f steadied) measured(what string, value float64, unit string) proof.Figure {
	return proof.Measured(f.name+": "+what, value, unit)
}

// atMost is a figure with a bar where the state is judged.
func (f steadied) atMost(what string, value float64, unit string, bar float64) proof.Figure {
	if !f.judged {
		return f.measured(what, value, unit)
	}
	return proof.AtMost(f.name+": "+what, value, unit, bar)
}

// work is what was done, and whether it was all that the lanes must give and nothing besides.
func (f steadied) work() []proof.Figure {
	must, off := 0.0, 0
	for _, l := range f.lanes {
		must, off = must+l.must, off+l.off
	}
	written := float64(f.watched.total())
	list := []proof.Figure{
		f.measured("events", written/f.watched.seconds(), "a second"),
		f.measured("reports", float64(len(f.reports))/f.took.Seconds(), "a second"),
		f.atMost("events, by those that the lanes may give", written/must, "", 2-needed),
		f.atMost("wake-ups that wrote no event or two", float64(f.watched.unequal()), "", 0),
		f.atMost("clusters woken less or more often than their lane says", float64(off), "", 0),
		f.atMost("events that the controllers have not had", float64(f.undelivered), "", 0),
		f.measured("events delivered again", float64(f.again), ""),
		f.measured("requests of controllers that were refused (503)", float64(f.refused), ""),
		f.atMost("reads that were refused (503)", float64(f.reads.refused), "", 0),
		f.measured("events not yet published at the end", float64(f.unpublished), ""),
	}
	if f.judged {
		list = append(list, proof.AtLeast(f.name+": events, by those that the lanes must give", written/must, "", needed))
	}
	return list
}

// latencies are how long things took. undisturbed is the p99 of the reads in the middle one of all steps of the plot.
func (f steadied) latencies(lateness []sample, undisturbed float64) []proof.Figure {
	at := func(list []sample, share float64) float64 { return milliseconds(percentile(list, share)) }
	return []proof.Figure{
		f.measured("reads, p50", at(f.reads.samples, 0.5), "ms"),
		f.atMost("reads, p99", at(f.reads.samples, 0.99), "ms", milliseconds(readBar)),
		f.measured("reads, p99 of the middle one of all steps of the plot", undisturbed, "ms"),
		f.measured("reads, p99.9", at(f.reads.samples, 0.999), "ms"),
		f.measured("sent late by the generator itself, p99", milliseconds(f.reads.late), "ms"),
		f.measured("reports, p50", at(f.reports, 0.5), "ms"),
		f.measured("reports, p99", at(f.reports, 0.99), "ms"),
		f.measured("wake-ups are late by, p50", at(lateness, 0.5), "ms"),
		f.atMost("wake-ups are late by, p99", at(lateness, 0.99), "ms", milliseconds(latenessBar)),
		f.measured("from an event's writing to the last of eight reports, p50", at(f.answered, 0.5), "ms"),
		f.measured("from an event's writing to the last of eight reports, p99", at(f.answered, 0.99), "ms"),
	}
}

// uses are what it took of the machine.
func (f steadied) uses() []proof.Figure {
	return []proof.Figure{
		f.measured("CPU of the service", 100*f.used.process.Seconds()/f.took.Seconds(), "% of a core"),
		f.measured("CPU of PostgreSQL", 100*f.used.postgres.Seconds()/f.took.Seconds(), "% of a core"),
		f.atMost("memory of the service", float64(f.memory)/(1<<20), "MiB", memoryBar),
		f.measured("write-ahead log", float64(f.used.wal)/1000/f.took.Seconds(), "kB a second"),
	}
}

func (f steadied) laneTable() table {
	t := table{Title: "The lanes, " + f.name + ":", Header: []string{
		"Lane", "clusters", "events due", "written", "of a cluster, least", "most",
	}}
	for _, l := range f.lanes {
		t.add(l.name, l.clusters, whole(l.must), l.events, l.least, l.most)
	}
	return t
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
