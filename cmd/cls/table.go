package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// table is rows under a header. A column whose title is in coloured() has the colour of its values.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table, with colours or without.
func (t *table) write(w io.Writer, colour bool) error {
	lines, err := t.lines(colour)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Join(lines, ""))
	return err
}

// lines are the header and the rows, each with its end of line.
func (t *table) lines(colour bool) ([]string, error) {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{t.header}, t.rows...) {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = oneLine(c)
			if colour && coloured(t.header[i]) {
				cells[i] = paint(cells[i]) // The header too: all cells of a column grow by the same.
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("write a table: %w", err)
	}
	lines := slices.Collect(strings.Lines(text.String()))
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \n") + "\n"
	}
	return lines, nil
}

func coloured(title string) bool { return slices.Contains([]string{"PHASE", "AVAILABLE"}, title) }

// paint gives a phase or the status of a condition its colour (ECMA-48, SGR). Each colour takes as many bytes.
func paint(text string) string {
	code := "39"
	switch text {
	case "Ready", "True":
		code = "32"
	case "Failed", "False":
		code = "31"
	case "Progressing", "Deleting":
		code = "33"
	case "Pending", "Unknown":
		code = "36"
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// clean has no characters that would move the cursor but line breaks: the text of controllers is anybody's.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, text)
}

// oneLine is clean for what stands in a line.
func oneLine(text string) string { return clean(strings.Join(strings.Fields(text), " ")) }

// age is how long ago something was, in its two greatest units at most: 45s, 12m, 3h20m, 5d.
func age(t, now time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 10*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// clock is a time as tables show it: UTC, to the second.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// labelText is labels in the order of their names.
func labelText(labels map[string]string) string {
	var all []string
	for k, v := range labels {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}
