package models

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// nested returns a JSON text of so many arrays in one another.
func nested(depth int, innermost string) string {
	return strings.Repeat("[", depth) + innermost + strings.Repeat("]", depth)
}

// jsonRows are texts with their faults as "path reason", and what they become. What
// PostgreSQL 15 does with each was tried.
var jsonRows = []struct {
	why    string
	text   string
	faults []string
	clean  string // "" when the text stays as it is
}{
	{"plain", `{"a": [1, -2.5e3, "x", true, false, null, {}]}`, nil, ""},
	{"no JSON at all is for the decoder to refuse", `{"a":`, nil, ""},
	{"nothing", ``, nil, ""},
	{"a NUL in a value", `{"a":"x\u0000y"}`, []string{"a " + reasonNUL}, `{"a":"x�y"}`},
	{"a NUL in a key", `{"a":{"k\u0000":1}}`, []string{"a.k\uFFFD " + reasonNUL}, `{"a":{"k�":1}}`},
	{"an escaped backslash before u0000 is text", `{"a":"\\u0000"}`, nil, ""},
	{"a lone high surrogate", `["\ud800"]`, []string{"[0] " + reasonSurrogate}, `["�"]`},
	{"a lone low surrogate", `["\uDC00x"]`, []string{"[0] " + reasonSurrogate}, `["�x"]`},
	{"a pair the wrong way round", `["\udc00\ud800"]`, []string{"[0] " + reasonSurrogate, "[0] " + reasonSurrogate}, `["��"]`},
	{"a high one before another escape", `["\ud800\n"]`, []string{"[0] " + reasonSurrogate}, `["�\n"]`},
	{"a high one before a character", `["\ud800\u0041"]`, []string{"[0] " + reasonSurrogate}, `["�\u0041"]`},
	{"two high ones and a low one", `["\ud800\ud83d\ude00"]`, []string{"[0] " + reasonSurrogate}, `["�\ud83d\ude00"]`},
	{"a pair", `{"\ud83d\ude00":"\uD83D\uDE00"}`, nil, ""},
	{"bytes that are not UTF-8, in a value", "{\"a\":\"\xff\xfe\"}", []string{"a " + reasonUTF8, "a " + reasonUTF8}, `{"a":"��"}`},
	{"and in a key", "{\"\xc3\":1}", []string{"\uFFFD " + reasonUTF8}, `{"�":1}`},
	{"U+FFFD itself is a character", `["�", "\ufffd"]`, nil, ""},
	{"too large for a double", `{"a":[0,1e400]}`, []string{"a[1] " + reasonNumber}, `{"a":[0,"1e400"]}`},
	{"too small, below zero", `[-1e400]`, []string{"[0] " + reasonNumber}, `["-1e400"]`},
	{"would become zero", `[1e-400]`, []string{"[0] " + reasonNumber}, `["1e-400"]`},
	{"the largest and the smallest double", `[1.7976931348623157e308, -1.7976931348623157e308, 5e-324]`, nil, ""},
	{"every spelling of zero", `[0, -0, 0.00, 0e5, 0E+999999, 0e-16383]`, nil, ""},
	{"a zero of too many decimals overflows a numeric", `[0e-16384]`, []string{"[0] " + reasonNumber}, `["0e-16384"]`},
	{"a zero whose exponent no parser takes", `[0e1073741823, 0e99999999999999999999]`, []string{"[0] " + reasonNumber, "[1] " + reasonNumber}, `["0e1073741823","0e99999999999999999999"]`},
	{"16,383 decimals", "[1." + strings.Repeat("0", 16383) + "]", nil, ""},
	{"16,384 decimals", "[1." + strings.Repeat("0", 16384) + "]", []string{"[0] " + reasonNumber}, `["1.` + strings.Repeat("0", 16384) + `"]`},
	{"16,384 decimals by exponent", "[1" + strings.Repeat("0", 16390) + "e-16384]", []string{"[0] " + reasonNumber}, `["1` + strings.Repeat("0", 16390) + `e-16384"]`},
	{"decimals that the exponent takes away", "[0." + strings.Repeat("0", 20000) + "1e20001]", nil, ""},
	{"100 levels", nested(100, ""), nil, ""},
	{"101 levels", nested(101, ""), []string{strings.Repeat("[0]", maxPath) + " " + reasonDepth}, nested(101, "")},
	{"all faults at once, in order", `{"a":"\u0000","b":{"c":[1e999]},"d":"\ud800"}`, []string{"a " + reasonNUL, "b.c[0] " + reasonNumber, "d " + reasonSurrogate}, `{"a":"�","b":{"c":["1e999"]},"d":"�"}`},
	{"a fault of the whole", `"\u0000"`, []string{"body " + reasonNUL}, `"�"`},
	{"white space around everything", " {\t\"a\" :\r\n[ \"\\u0000\" , 1 ] } ", []string{"a[0] " + reasonNUL}, `{"a":["�",1]}`},
}

func TestScanAndSanitizeJSON(t *testing.T) {
	t.Parallel()
	for _, row := range jsonRows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			var faults []string
			for _, f := range ScanJSON([]byte(row.text)) {
				faults = append(faults, f.Field+" "+f.Reason)
			}
			if diff := cmp.Diff(row.faults, faults); diff != "" {
				t.Errorf("faults, -want +got:\n%s", diff)
			}
			want := row.clean
			if want == "" {
				want = row.text
			}
			if got := string(SanitizeJSON([]byte(row.text))); got != want {
				t.Errorf("became %.200s, want %.200s", got, want)
			}
		})
	}
}

func TestTooDeep(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why  string
		text string
		want bool
	}{
		{"a scalar", `1`, false},
		{"100 levels of arrays", nested(100, "1"), false},
		{"101 levels of arrays", nested(101, "1"), true},
		{"101 levels of objects", strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), true},
		{"wide is not deep", "[" + strings.Repeat("[],", 500) + "[]]", false},
		{"brackets in a string are text", `["` + strings.Repeat("[", 500) + `"]`, false},
		{"an escaped quote does not end a string", `["\"` + strings.Repeat("[", 500) + `"]`, false},
		{"an escaped backslash does", `["\\",` + nested(100, "") + `]`, true},
		{"a text without an end", strings.Repeat("[", 1<<20), true},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if got := TooDeep([]byte(row.text)); got != row.want {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}

// TestStoredSize has the lengths that PostgreSQL 15 gives for the text as jsonb.
func TestStoredSize(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text string
		want int
		over int // how much more than that may be said
	}{
		{`{}`, 2, 0},
		{`{"a":1,"b":[1,2]}`, 21, 0},
		{`{ "a" : "x" }`, 10, 0},
		{`[1e308]`, 311, 0},
		{`[-1.5e308]`, 312, 0},
		{`[5e-324]`, 328, 0},
		{`[1.5e-7]`, 12, 0},
		{`[0e999999]`, 3, 0},
		{`[-0]`, 3, 1},
		{`["\u00e9"]`, 6, 4},
		{`"no JSON`, 8, 0},
	} {
		if got := StoredSize([]byte(row.text)); got < row.want || got > row.want+row.over {
			t.Errorf("%s: %d, want %d to %d", row.text, got, row.want, row.want+row.over)
		}
	}
}

func TestSanitizeText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain é": "plain é", "a\x00b": "a\uFFFDb", "a\xffb": "a\uFFFDb", "\xff\xfe": "\uFFFD", "\uFFFD": "\uFFFD", "": "",
	} {
		if got := SanitizeText(text); got != want {
			t.Errorf("SanitizeText(%q) = %q, want %q", text, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		got := SanitizeText(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		if !utf8.ValidString(got) || strings.Contains(got, "\x00") || SanitizeText(got) != got {
			t.Fatalf("%q cannot be stored, or is no fixed point", got)
		}
	})
}

// FuzzSanitizeJSON: what comes out is JSON that PostgreSQL can hold, but for its depth,
// and comes out again as it is.
func FuzzSanitizeJSON(f *testing.F) {
	for _, row := range jsonRows {
		f.Add([]byte(row.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := slices.Clone(text)
		clean := SanitizeJSON(text)
		if !slices.Equal(before, text) {
			t.Fatal("the argument was changed")
		}
		if !json.Valid(text) {
			if !slices.Equal(clean, text) || ScanJSON(text) != nil {
				t.Fatal("a text that is no JSON was touched")
			}
			return
		}
		if !json.Valid(clean) {
			t.Fatalf("%q became %q, which is no JSON", text, clean)
		}
		deep := false
		for _, fault := range ScanJSON(clean) {
			if deep = true; fault.Reason != reasonDepth {
				t.Fatalf("%q became %q, where %s %s", text, clean, fault.Field, fault.Reason)
			}
		}
		if deep != TooDeep(clean) || TooDeep(text) != TooDeep(clean) {
			t.Fatalf("%q: two opinions on the depth", clean)
		}
		if !utf8.Valid(clean) {
			t.Fatalf("%q is not UTF-8", clean)
		}
		if again := SanitizeJSON(clean); !slices.Equal(again, clean) {
			t.Fatalf("%q becomes %q when cleaned again", clean, again)
		}
		if len(ScanJSON(text)) == 0 && !slices.Equal(clean, text) {
			t.Fatalf("%q has no faults and was changed", text)
		}
	})
}
