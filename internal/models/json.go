package models

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// MaxStored is the largest text, in bytes, that a spec may have as PostgreSQL stores it.
const MaxStored = 1 << 20

// maxGrowth is more than a JSON text can grow by when it is stored: the five bytes of
// 1e308 become 309, and two of separators.
const maxGrowth = 64

// MayBeTooLarge reports whether a spec has to be measured: a smaller one is within [MaxStored] however it
// is spelled, with a default or two besides.
func MayBeTooLarge(spec v1.Object) bool { return len(spec) > MaxStored/maxGrowth }

// MaxDepth is how deep a JSON document may be nested (RFC 8259, section 9, lets a parser
// set one). PostgreSQL gives up at some thousands.
const MaxDepth = 100

// ScanJSON looks through a JSON text for what PostgreSQL cannot hold: NUL characters,
// lone surrogates, bytes that are not UTF-8, numbers that are not finite doubles or have
// more decimals than a numeric, and nesting beyond [MaxDepth]. Each fault names the path of its field. A text that is no
// JSON has no faults here: the decoder will say so.
func ScanJSON(text []byte) []Fault {
	if !json.Valid(text) {
		return nil
	}
	w := jsonWalk{text: text}
	w.value()
	return w.faults
}

// StoredSize returns the size in bytes that a JSON text has once PostgreSQL has stored
// it as jsonb and reads it back, give or take escapes that it does without: separators
// are followed by a space, and numbers are written out (1e300 takes 301 digits).
func StoredSize(text []byte) int {
	if !json.Valid(text) {
		return len(text)
	}
	w := jsonWalk{text: text}
	w.value()
	return w.size
}

// SanitizeJSON returns a JSON text that PostgreSQL can hold: characters that it cannot
// become U+FFFD, and numbers that it cannot become strings. A text that is no JSON, or
// that has nothing wrong with it, comes back as it is.
func SanitizeJSON(text []byte) []byte {
	if !json.Valid(text) {
		return text
	}
	w := jsonWalk{text: text}
	w.value()
	if len(w.faults) == 0 {
		return text
	}
	return w.clean
}

// TooDeep reports whether a JSON text is nested beyond [MaxDepth].
func TooDeep(text []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}

// SanitizeText replaces what PostgreSQL cannot hold in a text by U+FFFD.
func SanitizeText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// jsonWalk goes once through a valid JSON text.
type jsonWalk struct {
	text   []byte
	at     int
	path   []string
	faults []Fault
	size   int
	clean  []byte
}

const (
	reasonNUL       = "holds a NUL character, which cannot be stored"
	reasonSurrogate = "holds half of a surrogate pair, which cannot be stored"
	reasonUTF8      = "holds bytes that are not UTF-8"
	reasonNumber    = "is a number outside the range of a double, or with too many decimals"
	reasonDepth     = "is nested too deeply"
)

func (w *jsonWalk) fault(reason string) {
	w.faults = append(w.faults, Fault{Field: joinPath(w.path), Reason: reason})
}

// put copies a byte of punctuation; a separator is stored with a space behind it.
func (w *jsonWalk) put(c byte) {
	w.clean = append(w.clean, c)
	w.size++
	if c == ',' || c == ':' {
		w.size++
	}
	w.at++
}

func (w *jsonWalk) space() {
	for w.at < len(w.text) && strings.IndexByte(" \t\r\n", w.text[w.at]) >= 0 {
		w.at++
	}
}

func (w *jsonWalk) value() {
	w.space()
	c := w.text[w.at]
	if len(w.path) == MaxDepth && (c == '{' || c == '[') {
		w.fault(reasonDepth)
	}
	switch c {
	case '{':
		w.members('}', w.key)
	case '[':
		w.members(']', func(i int) string { return "[" + strconv.Itoa(i) + "]" })
	case '"':
		w.str()
	case 't', 'f', 'n':
		w.literal()
	default:
		w.number()
	}
}

// members goes through an object or an array; name reads or makes the next path segment.
func (w *jsonWalk) members(end byte, name func(int) string) {
	w.put(w.text[w.at])
	for i := 0; ; i++ {
		w.space()
		switch w.text[w.at] {
		case end:
			w.put(end)
			return
		case ',':
			w.put(',')
			w.space()
		}
		w.path = append(w.path, name(i))
		w.value()
		w.path = w.path[:len(w.path)-1]
	}
}

// key reads a key and its colon. A fault in the key is named at the key's own path.
func (w *jsonWalk) key(int) string {
	start, known := w.at, len(w.faults)
	w.str()
	name := string(w.text[start+1 : w.at-1])
	if len(w.faults) > known || strings.IndexByte(name, '\\') >= 0 {
		name = keyText(w.text[start:w.at])
	}
	for i := known; i < len(w.faults); i++ {
		w.faults[i].Field = joinPath(append(w.path, name))
	}
	w.space()
	w.put(':')
	return name
}

// keyText returns what a string token says, as far as that can be shown.
func keyText(token []byte) string {
	var text string
	if json.Unmarshal(token, &text) != nil {
		return "?"
	}
	return SanitizeText(text)
}

func (w *jsonWalk) literal() {
	start := w.at
	for w.at < len(w.text) && w.text[w.at] >= 'a' && w.text[w.at] <= 'z' {
		w.at++
	}
	w.keep(w.text[start:w.at])
}

func (w *jsonWalk) keep(token []byte) {
	w.clean = append(w.clean, token...)
	w.size += len(token)
}

func (w *jsonWalk) number() {
	start := w.at
	for w.at < len(w.text) && strings.IndexByte("+-.eE0123456789", w.text[w.at]) >= 0 {
		w.at++
	}
	token := string(w.text[start:w.at])
	length, fits := writtenOut(token)
	if !fits || !isFinite(token) {
		w.fault(reasonNumber)
		w.keep([]byte(strconv.Quote(token)))
		return
	}
	w.clean = append(w.clean, token...)
	w.size += length
}

// isFinite reports whether a JSON number is a finite double, and not so small that it
// would become zero.
func isFinite(token string) bool {
	x, err := strconv.ParseFloat(token, 64)
	if err != nil || math.IsInf(x, 0) {
		return false
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(token), "e")
	return x != 0 || isZero(mantissa)
}

func isZero(mantissa string) bool { return strings.Trim(mantissa, "-0.") == "" }

// maxDecimals is how many digits a numeric of PostgreSQL keeps behind the point (its
// documentation, "Numeric Types"); maxExponent is safely below the exponent at which its
// parser gives up, which matters for zeros only.
const (
	maxDecimals = 16383
	maxExponent = 1 << 29
)

// writtenOut returns the length of a JSON number without its exponent, and whether a
// numeric can hold its decimals: even 0e-16384 has too many.
func writtenOut(token string) (length int, fits bool) {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(token), "e")
	e, err := 0, error(nil)
	if hasExponent {
		e, err = strconv.Atoi(exponent)
	}
	if err != nil || max(e, -e) > maxExponent {
		return len(token), false
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits, decimals := max(1, len(whole)+e), max(0, len(fraction)-e)
	if isZero(mantissa) {
		digits = len(whole)
	}
	if decimals > 0 {
		digits++ // the point
	}
	return digits + decimals, decimals <= maxDecimals
}

// str reads a string token, quotes included.
func (w *jsonWalk) str() {
	from := len(w.clean)
	w.put('"')
	for w.text[w.at] != '"' {
		switch c := w.text[w.at]; {
		case c == '\\' && w.text[w.at+1] == 'u':
			w.unicodeEscape()
		case c == '\\':
			w.clean = append(w.clean, w.text[w.at:w.at+2]...)
			w.at += 2
		case c < utf8.RuneSelf:
			w.clean = append(w.clean, c)
			w.at++
		default:
			w.rune()
		}
	}
	w.clean = append(w.clean, '"')
	w.at++
	w.size += len(w.clean) - from - 1
}

func (w *jsonWalk) rune() {
	r, n := utf8.DecodeRune(w.text[w.at:])
	if r == utf8.RuneError && n == 1 {
		w.fault(reasonUTF8)
	}
	w.clean = utf8.AppendRune(w.clean, r)
	w.at += n
}

// unicodeEscape reads \uXXXX, or the pair of them that makes one character.
func (w *jsonWalk) unicodeEscape() {
	first, length := hex4(w.text[w.at+2:]), 6
	switch {
	case first == 0:
		w.replace(reasonNUL)
		return
	case utf16.IsSurrogate(first):
		next := w.text[w.at+6:]
		if len(next) < 6 || next[0] != '\\' || next[1] != 'u' || utf16.DecodeRune(first, hex4(next[2:])) == utf8.RuneError {
			w.replace(reasonSurrogate)
			return
		}
		length = 12
	}
	w.clean = append(w.clean, w.text[w.at:w.at+length]...)
	w.at += length
}

// replace puts U+FFFD for the escape at hand.
func (w *jsonWalk) replace(reason string) {
	w.fault(reason)
	w.clean = append(w.clean, "\uFFFD"...)
	w.at += 6
}

func hex4(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 32)
	return rune(n) //nolint:gosec // 16 bits
}

// maxPath bounds how many segments of a path an answer names.
const maxPath = 12

// joinPath writes a path as clients do: spec.pools[0].size.
func joinPath(path []string) string {
	var b strings.Builder
	for i, segment := range path[:min(len(path), maxPath)] {
		if i > 0 && !strings.HasPrefix(segment, "[") {
			b.WriteByte('.')
		}
		b.WriteString(segment)
	}
	if b.Len() == 0 {
		return "body"
	}
	return b.String()
}

// indexed writes the path of a field of the i-th element of a list.
func indexed(list string, i int, field string) string {
	path := list + "[" + strconv.Itoa(i) + "]"
	if field != "" {
		path += "." + field
	}
	return path
}
