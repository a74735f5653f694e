package proof

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Plot is a chart of lines. It is a value that goes into a result's JSON, and is drawn when the document is made.
type Plot struct {
	Title  string   `json:"title"`
	X      Axis     `json:"x"`
	Y      Axis     `json:"y"`
	Series []Series `json:"series"`
}

// Axis is one of a plot's two. A linear one begins at zero unless there are negative values.
type Axis struct {
	Label string `json:"label"`
	Log   bool   `json:"log,omitempty"` // what is not above zero has no place on it and is left out
}

// Series is a line of a plot, with a mark at each point, in the order of the points.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is where a line goes through.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Where things are, in pixels. The legend is to the right of the frame, a row a series.
const (
	plotWidth, plotLeast                           = 940, 400 // the height grows with the legend
	frameLeft, frameRight, frameTop, frameToBottom = 80, 640, 44, 56
	legendLeft, legendRow                          = 662, 20
)

// ink is for what is no line. Like the colours it can be read on white and on black: an image does not know on which of
// them the document is shown.
const ink = "#7d8590"

// colours are those of the lines in turn. Lines that share one differ in their dashes, and so do neighbours, for those who
// cannot tell colours.
func colours() []string {
	return []string{"#2f81f7", "#d9730d", "#2da44e", "#e5484d", "#a371f7", "#0891b2", "#bf7700", "#d6409f"}
}

func dashes() []string { return []string{"", "7 3", "2 3", "10 3 2 3"} }

// SVG draws the plot. The same plot is the same bytes.
func (p Plot) SVG() []byte {
	height := max(plotLeast, frameTop+frameToBottom+legendRow*len(p.Series))
	bottom := float64(height - frameToBottom)
	x := p.X.scale(p.values(func(at Point) float64 { return at.X }), frameLeft, frameRight)
	y := p.Y.scale(p.values(func(at Point) float64 { return at.Y }), bottom, frameTop)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="12" fill="%s">`+"\n", plotWidth, height, plotWidth, height, ink)
	fmt.Fprintf(&b, "<title>%s</title>\n", escaped(p.Title))
	text(&b, (frameLeft+frameRight)/2, frameTop-20, `text-anchor="middle" font-size="15"`, p.Title)
	for _, v := range x.ticks {
		at := x.at(v)
		fmt.Fprintf(&b, `<path d="M%s %s V%d" stroke="%s" stroke-opacity="0.25"/>`+"\n", pixel(at), pixel(bottom), frameTop, ink)
		text(&b, at, bottom+18, `text-anchor="middle"`, tickText(v))
	}
	for _, v := range y.ticks {
		at := y.at(v)
		fmt.Fprintf(&b, `<path d="M%d %s H%d" stroke="%s" stroke-opacity="0.25"/>`+"\n", frameLeft, pixel(at), frameRight, ink)
		text(&b, frameLeft-8, at+4, `text-anchor="end"`, tickText(v))
	}
	fmt.Fprintf(&b, `<path d="M%d %d V%s H%d" fill="none" stroke="%s"/>`+"\n", frameLeft, frameTop, pixel(bottom), frameRight, ink)
	text(&b, (frameLeft+frameRight)/2, bottom+42, `text-anchor="middle"`, p.X.Label)
	middle := pixel((frameTop + bottom) / 2)
	text(&b, 0, 0, `text-anchor="middle" transform="translate(18 `+middle+`) rotate(-90)"`, p.Y.Label)
	for i, s := range p.Series {
		s.draw(&b, i, x, y)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw adds a line and its row of the legend.
func (s Series) draw(b *bytes.Buffer, number int, x, y scale) {
	colour := colours()[number%len(colours())]
	stroke := `stroke="` + colour + `" stroke-width="2" stroke-dasharray="` + dashes()[(number+number/len(colours()))%len(dashes())] + `"`
	var line []string
	for _, p := range s.Points {
		if !x.has(p.X) || !y.has(p.Y) {
			continue
		}
		at := pixel(x.at(p.X)) + " " + pixel(y.at(p.Y))
		line = append(line, at)
		cx, cy, _ := strings.Cut(at, " ")
		fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="3" fill="%s"/>`+"\n", cx, cy, colour)
	}
	if len(line) > 1 {
		fmt.Fprintf(b, `<path d="M%s" fill="none" %s/>`+"\n", strings.Join(line, " L"), stroke)
	}
	row := frameTop + 10 + legendRow*number
	fmt.Fprintf(b, `<path d="M%d %d h24" %s/>`+"\n", legendLeft, row, stroke)
	text(b, legendLeft+32, float64(row)+4, "", s.Name)
}

func text(b *bytes.Buffer, x, y float64, attributes, words string) {
	if attributes != "" {
		attributes = " " + attributes
	}
	fmt.Fprintf(b, `<text x="%s" y="%s"%s>%s</text>`+"\n", pixel(x), pixel(y), attributes, escaped(words))
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // A Builder takes everything.
	return b.String()
}

func pixel(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// values are those of all points in one direction.
func (p Plot) values(of func(Point) float64) []float64 {
	var all []float64
	for _, s := range p.Series {
		for _, at := range s.Points {
			all = append(all, of(at))
		}
	}
	return all
}

// scale says where a value is on the page.
type scale struct {
	log         bool
	least, most float64 // the values at both ends
	from, to    float64 // their pixels
	ticks       []float64
}

// scale fits an axis to values.
func (a Axis) scale(values []float64, from, to float64) scale {
	s := scale{log: a.Log, from: from, to: to}
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if s.has(v) {
			least, most = min(least, v), max(most, v)
		}
	}
	if least > most { // There is nothing to show.
		least, most = 1, 1
	}
	if a.Log {
		s.ticks = logTicks(least, most)
	} else {
		s.ticks = linearTicks(min(least, 0), max(most, 0))
	}
	s.least, s.most = s.ticks[0], s.ticks[len(s.ticks)-1]
	return s
}

// has reports whether a value has a place on the axis.
func (s scale) has(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!s.log || v > 0)
}

func (s scale) at(v float64) float64 {
	least, most := s.least, s.most
	if s.log {
		v, least, most = math.Log(v), math.Log(least), math.Log(most)
	}
	return s.from + (v-least)/(most-least)*(s.to-s.from)
}

// nice are the steps of an axis in a decade.
func nice() []float64 { return []float64{1, 2, 5, 10} }

// linearTicks are about six round numbers around a range, which they enclose.
func linearTicks(least, most float64) []float64 {
	if least == most {
		most = least + 1
	}
	rough := (most - least) / 6
	decade := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 0.0
	for _, n := range nice() {
		if step = n * decade; step >= rough {
			break
		}
	}
	var ticks []float64
	first, last := math.Floor(least/step), math.Ceil(most/step)
	for i := first; i <= last; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

// logTicks are powers of ten around a range, which they enclose; with 2 and 5 times these where they would be few.
func logTicks(least, most float64) []float64 {
	from, to := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	if from == to {
		to++
	}
	var ticks []float64
	for e := from; e <= to; e++ {
		if to-from >= 4 {
			ticks = append(ticks, math.Pow(10, e))
			continue
		}
		for _, n := range nice()[:3] {
			ticks = append(ticks, n*math.Pow(10, e))
		}
	}
	// What lies beyond the range on either side is needed once.
	for len(ticks) > 2 && ticks[1] <= least {
		ticks = ticks[1:]
	}
	for len(ticks) > 2 && ticks[len(ticks)-2] >= most {
		ticks = ticks[:len(ticks)-1]
	}
	return ticks
}

// tickText writes a round number, without the digits that a float64 cannot hold.
func tickText(v float64) string {
	if math.Abs(v) >= 1 || v == 0 {
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return Thousands(int(v))
		}
	}
	return fmt.Sprintf("%.4g", v)
}
