package proof

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why         string
		ticks       func(least, most float64) []float64
		least, most float64
		want        string
	}{
		{"round numbers that enclose the range", linearTicks, 0, 173, "0 50 100 150 200"},
		{"an end on a tick is the end", linearTicks, 0, 100, "0 20 40 60 80 100"},
		{"fractions", linearTicks, 0, 0.7, "0 0.2 0.4 0.6 0.8"},
		{"below zero too", linearTicks, -3, 9, "-4 -2 0 2 4 6 8 10"},
		{"a single value has a range", linearTicks, 0, 0, "0 0.2 0.4 0.6 0.8 1"},
		{"decades", logTicks, 100, 1_000_000, "100 1,000 10,000 100,000 1,000,000"},
		{"few decades are divided", logTicks, 3, 70, "2 5 10 20 50 100"},
		{"below one", logTicks, 0.02, 0.3, "0.02 0.05 0.1 0.2 0.5"},
		{"a single value on a log axis", logTicks, 10, 10, "10 20"},
	} {
		var texts []string
		for _, v := range c.ticks(c.least, c.most) {
			texts = append(texts, tickText(v))
		}
		if got := strings.Join(texts, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.why, got, c.want)
		}
	}
}

// shape is what a drawing has, as a reader of SVG finds it.
type shape struct {
	XMLName xml.Name
	D       string  `xml:"d,attr"`
	CX      float64 `xml:"cx,attr"`
	CY      float64 `xml:"cy,attr"`
	Text    string  `xml:",chardata"`
}

type drawing struct {
	Height int     `xml:"height,attr"`
	Shapes []shape `xml:",any"`

	circles, paths, texts []string
}

// drawn reads an SVG as XML.
func drawn(t *testing.T, p Plot) drawing {
	t.Helper()
	var d drawing
	if err := xml.Unmarshal(p.SVG(), &d); err != nil {
		t.Fatalf("%v\n%s", err, p.SVG())
	}
	for _, s := range d.Shapes {
		switch s.XMLName.Local {
		case "circle":
			d.circles = append(d.circles, fmt.Sprintf("%v %v", s.CX, s.CY))
		case "path":
			d.paths = append(d.paths, s.D)
		case "text":
			d.texts = append(d.texts, s.Text)
		}
	}
	return d
}

func TestPlotIsWhereItsValuesAre(t *testing.T) {
	t.Parallel()
	p := Plot{
		Title: `p50 <of> "all" & more`, X: Axis{Label: "clusters", Log: true}, Y: Axis{Label: "us"},
		Series: []Series{{"get", []Point{{100, 0}, {1000, 100}, {10_000, 50}}}, {"alone", []Point{{100, 100}}}},
	}
	d := drawn(t, p)
	// The frame is 80 to 640 and 344 up to 44.
	if diff := cmp.Diff([]string{"80 344", "360 44", "640 194", "80 44"}, d.circles); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(d.paths, "M80 344 L360 44 L640 194") {
		t.Errorf("no line through the points: %v", d.paths)
	}
	for _, want := range []string{p.Title, "clusters", "us", "get", "alone", "100", "1,000", "10,000", "0", "20"} {
		if !slices.Contains(d.texts, want) {
			t.Errorf("%q is not written: %q", want, d.texts)
		}
	}
	if !bytes.Equal(p.SVG(), p.SVG()) {
		t.Error("the same plot was drawn in two ways")
	}
}

// What has no place is left out, and what is left of a plot is still one.
func TestPlotOfNothing(t *testing.T) {
	t.Parallel()
	for _, log := range []bool{false, true} {
		p := Plot{X: Axis{Log: log}, Y: Axis{Log: true}, Series: []Series{{"", []Point{{1, 0}, {1, -1}, {math.NaN(), 1}, {math.Inf(1), 1}}}}}
		if d := drawn(t, p); len(d.circles) != 0 {
			t.Errorf("%v", d.circles)
		}
		if strings.Contains(string(p.SVG()), "NaN") || strings.Contains(string(p.SVG()), "Inf") {
			t.Errorf("%s", p.SVG())
		}
		drawn(t, Plot{X: Axis{Log: log}})
	}
}

func TestPlotGrowsWithItsLegend(t *testing.T) {
	t.Parallel()
	if d := drawn(t, Plot{Series: make([]Series, 30)}); d.Height < 30*legendRow+frameTop {
		t.Errorf("%d pixels for 30 rows", d.Height)
	}
}

// Every colour stands out enough (WCAG 2.1, 1.4.11: 3 to 1) on white and on GitHub's dark background.
func TestColoursAreReadable(t *testing.T) {
	t.Parallel()
	for _, colour := range append(colours(), ink) {
		for _, ground := range []string{"#ffffff", "#0d1117"} {
			a, b := luminance(t, colour), luminance(t, ground)
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 3 {
				t.Errorf("%s on %s has a contrast of %.2f", colour, ground, ratio)
			}
		}
	}
}

// luminance is WCAG's relative luminance.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(v) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// The drawing is well-formed to its last byte.
func TestPlotIsOneElement(t *testing.T) {
	t.Parallel()
	d := xml.NewDecoder(bytes.NewReader(Plot{Title: "x"}.SVG()))
	depth, roots := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 || roots != 1 {
		t.Errorf("%d roots, %d left open", roots, depth)
	}
}
