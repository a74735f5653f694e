package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// percentile returns the smallest latency that a share of the samples does not exceed
// (the nearest rank).
func percentile(samples []sample, share float64) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	took := make([]time.Duration, len(samples))
	for i, s := range samples {
		took[i] = s.took
	}
	slices.Sort(took)
	rank := int(share*float64(len(took)) + 0.999999)
	return took[min(max(rank, 1), len(took))-1]
}

func (r result) perSecond() float64 { return float64(len(r.samples)) / r.elapsed.Seconds() }

// perOperation is a part of the usage, in microseconds an operation.
func (r result) perOperation(d time.Duration) float64 {
	return float64(d.Microseconds()) / float64(len(r.samples))
}

// slowness is how many times slower than the machine that the bars are set for this one was. A faster one is
// given no credit.
func (r result) slowness() float64 { return max(1, r.pace) }

// judged is the CPU time of an operation on the machine that the bars are set for, in microseconds.
func (r result) judged() float64 { return r.perOperation(r.used.cpu()) / r.slowness() }

// missed says that the CPU time is beyond the bar.
func (r result) missed() bool { return r.bar > 0 && r.judged() > float64(r.bar.Microseconds()) }

// slow says that the median of an idle service is beyond the bar.
func (r result) slow() bool { return percentile(r.samples, 0.5) >= r.bar }

func verdict(missed bool) string {
	if missed {
		return "MISSED"
	}
	return "met"
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

// say prints a line while the measurement goes on.
func (b *bench) say(r result) {
	fmt.Fprintf(b.out, "%-13s %-36s %3d connections %8.0f/s  p50 %s ms  p99 %s ms  CPU %.0f us%s\n", r.subject, r.operation, r.connections,
		r.perSecond(), ms(percentile(r.samples, 0.5)), ms(percentile(r.samples, 0.99)), r.perOperation(r.used.cpu()), r.verdict())
}

// verdict says how a result that has a bar stands to it.
func (r result) verdict() string {
	if r.bar == 0 || r.subject != subjectService || r.pace == 0 {
		return ""
	}
	return fmt.Sprintf(", judged %.0f us (%.0f to %.0f) of %d: %s", r.judged(), r.least, r.most, r.bar.Microseconds(), verdict(r.missed()))
}

// finish writes the results; errMissed when a bar was missed.
func (b *bench) finish(took time.Duration) error {
	text := b.summary(took)
	fmt.Fprintf(b.out, "\n%s", text)
	if err := os.WriteFile(filepath.Join(b.options.out, "summary.md"), text, 0o600); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	if slices.ContainsFunc(b.results, result.missed) || slices.ContainsFunc(b.idle, result.slow) {
		return errMissed
	}
	return nil
}

// writeSamples keeps the raw samples of a measurement, in microseconds.
func (b *bench) writeSamples(r result, round string) error {
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(r.subject+" "+r.operation), "-")
	file, err := os.Create(filepath.Join(b.options.out, fmt.Sprintf("%s-%d%s.csv", strings.Trim(name, "-"), r.connections, round)))
	if err != nil {
		return fmt.Errorf("keep the samples: %w", err)
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	fmt.Fprintln(w, "began_us,took_us")
	for _, s := range r.samples {
		fmt.Fprintf(w, "%d,%d\n", s.at.Microseconds(), s.took.Microseconds())
	}
	return w.Flush()
}

// summary is the report, as Markdown.
func (b *bench) summary(took time.Duration) []byte {
	var w bytes.Buffer
	fmt.Fprintf(&w, "# Measured in %s on %d CPUs, %s\n\n", took.Round(time.Second), runtime.NumCPU(), time.Now().UTC().Format(time.RFC3339))
	fmt.Fprintf(&w, `%d clusters with a spec of about 1 KB, three labels and three reports each, 1 in %d Failed. They were made a day
ago by SQL, so that the scheduler and the relay do what they do in a steady state: at rest the service
uses %s ms of CPU a second and PostgreSQL %s ms, which is taken off the figures below. CPU is microseconds an
operation of the service and of all PostgreSQL processes, the ended ones too, until all that the
operation has caused is done: status calculated, events published. What the program asks PostgreSQL
to see that is left out. The bars are set for a machine on which the bare handler's get takes %d us, its report
%d and its creation %d; slower is how many times that it took right before and after (a list: its get), and judged is CPU
divided by it. Each operation is measured in %d rounds, of which the middle one as judged is shown, and the
range of them all. pgbench and the bare huma handler
run the bare statement (test/load/statements.go) on a copy of the database; x is the ratio of CPU.
PostgreSQL is durable (fsync, synchronous_commit) and has its default settings, but makes no checkpoint during the run.

| Operation | conns | /s | p50 ms | p99 ms | CPU us | service | PostgreSQL | WAL B | x pgbench | x bare | slower | judged | rounds | bar | |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
`, b.options.clusters, failedEvery, ms(b.background.process), ms(b.background.postgres),
		referenceGet.Microseconds(), referenceReport.Microseconds(), referenceCreate.Microseconds(), b.options.rounds)
	for _, r := range b.results {
		bar, met := "", ""
		if r.bar > 0 {
			bar, met = strconv.FormatInt(r.bar.Microseconds(), 10), verdict(r.missed())
		}
		fmt.Fprintf(&w, "%s | %s | %s | %.2f | %.0f | %.0f to %.0f | %s | %s |\n", r.row(), b.ratio(r, subjectPgbench), b.ratio(r, subjectBare),
			r.slowness(), r.judged(), r.least, r.most, bar, met)
	}
	w.WriteString("\n| Baseline | conns | /s | p50 ms | p99 ms | CPU us | handler | PostgreSQL | WAL B |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range b.baselines {
		r.operation = r.subject + ", " + r.operation
		w.WriteString(r.row() + " |\n")
	}
	w.WriteString("\n| On an idle service, one caller | p50 ms | p99 ms | bar ms | |\n|---|--:|--:|--:|---|\n")
	for _, r := range b.idle {
		fmt.Fprintf(&w, "| %s | %s | %s | %s | %s |\n", r.operation,
			ms(percentile(r.samples, 0.5)), ms(percentile(r.samples, 0.99)), ms(r.bar), verdict(r.slow()))
	}
	return w.Bytes()
}

// row is the part of a table's row that all results have.
func (r result) row() string {
	return fmt.Sprintf("| %s | %d | %.0f | %s | %s | %.0f | %.0f | %.0f | %.0f", r.operation, r.connections, r.perSecond(),
		ms(percentile(r.samples, 0.5)), ms(percentile(r.samples, 0.99)), r.perOperation(r.used.cpu()),
		r.perOperation(r.used.process), r.perOperation(r.used.postgres), float64(r.used.wal)/float64(len(r.samples)))
}

// ratio is how much CPU a result used, as a multiple of its baseline's.
func (b *bench) ratio(r result, subject string) string {
	base := b.baseline[key{subject, r.kind, r.connections}]
	if len(base.samples) == 0 || base.used.cpu() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", r.perOperation(r.used.cpu())/base.perOperation(base.used.cpu()))
}
