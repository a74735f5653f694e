package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const redacted = "[redacted]"

// redacting marks the types whose value must not be shown. They print themselves
// whatever the verb and however deep they lie in what is printed: fmt goes by
// Format, encoding/json and slog's JSON handler by MarshalText or MarshalJSON,
// slog's own attributes by LogValue.
type redacting interface {
	fmt.Formatter
	slog.LogValuer
}

// Secret is a text that no log, error or document shows. Convert it to string to
// use it.
type Secret string

// UnmarshalText accepts what an HTTP header can carry unchanged (RFC 9110 5.5):
// printable ASCII.
func (s *Secret) UnmarshalText(text []byte) error {
	if !printable(string(text)) {
		return errNotAllowed
	}
	*s = Secret(text)
	return nil
}

// String returns a placeholder, and "" where no secret is set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format prints String, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (Secret) words() string { return "printable ASCII text" }

// DatabaseURL is a PostgreSQL connection string, as a URL or as keywords (libpq,
// "Connection Strings"). Convert it to string to connect; printed, it shows who,
// where and which database, and neither password nor parameters.
type DatabaseURL string

// UnmarshalText accepts either form. It does not know every keyword; connecting
// decides the rest.
func (d *DatabaseURL) UnmarshalText(text []byte) error {
	value := string(text)
	if _, isURL := cutScheme(value); isURL && !okURL(value) || !isURL && keywords(value) == nil {
		return errNotAllowed
	}
	*d = DatabaseURL(value)
	return nil
}

// String returns the connection string without its secrets.
func (d DatabaseURL) String() string {
	if rest, isURL := cutScheme(string(d)); isURL {
		rest, _, _ = strings.Cut(rest, "?")
		user, host := splitUser(rest)
		name, _, _ := strings.Cut(user, ":")
		return "postgres://" + strings.TrimPrefix(name+"@"+host, "@")
	}
	var shown []string
	for _, pair := range keywords(string(d)) {
		switch pair[0] {
		case "host", "port", "user", "dbname":
			shown = append(shown, pair[0]+"="+pair[1])
		}
	}
	return strings.Join(shown, " ")
}

// Format prints String, whatever the verb.
func (d DatabaseURL) Format(f fmt.State, _ rune) { fmt.Fprint(f, d.String()) }

// LogValue is String.
func (d DatabaseURL) LogValue() slog.Value { return slog.StringValue(d.String()) }

// MarshalText is String.
func (d DatabaseURL) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (DatabaseURL) words() string {
	return "postgres:// URL, or keywords such as host=db dbname=cls"
}

func cutScheme(value string) (rest string, isURL bool) {
	scheme, rest, found := strings.Cut(value, "://")
	return rest, found && (scheme == "postgres" || scheme == "postgresql")
}

// splitUser parts user:password from the rest. The last @ of the authority
// decides, so that a password with a bare @ in it is not shown as a host.
func splitUser(rest string) (user, host string) {
	authority, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndex(rest, "@"); i >= len(authority) {
		return rest[:i], rest[i+1:]
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		return authority[:i], authority[i+1:] + "/" + path
	}
	return "", rest
}

// okURL looks at the parts by hand: PostgreSQL allows several hosts in one URL,
// which net/url refuses.
func okURL(value string) bool {
	if !printable(value) || strings.Contains(value, " ") {
		return false
	}
	rest, _ := cutScheme(value)
	rest, _, _ = strings.Cut(rest, "?")
	user, rest := splitUser(rest)
	if _, err := url.PathUnescape(user); err != nil {
		return false
	}
	hosts, path, _ := strings.Cut(rest, "/")
	if _, err := url.PathUnescape(path); err != nil {
		return false
	}
	for host := range strings.SplitSeq(hosts, ",") {
		_, port, found := strings.Cut(host[strings.LastIndex(host, "]")+1:], ":")
		if _, err := strconv.ParseUint(port, 10, 16); found && err != nil {
			return false
		}
	}
	return true
}

// keywords returns the pairs of a keyword connection string, or nil when it is
// none.
func keywords(value string) [][2]string {
	const pair = `([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)`
	whole := regexp.MustCompile(`^\s*` + pair + `(?:\s+` + pair + `)*\s*$`)
	if !whole.MatchString(value) {
		return nil
	}
	var pairs [][2]string
	for _, m := range regexp.MustCompile(pair).FindAllStringSubmatch(value, -1) {
		pairs = append(pairs, [2]string{m[1], m[2]})
	}
	return pairs
}

// Headers are HTTP headers whose values are secret, since collectors take their
// credentials in them.
type Headers map[string]string

// UnmarshalText reads name=value pairs with percent-encoded values, separated by
// commas: the form of the OpenTelemetry OTLP exporter specification.
func (h *Headers) UnmarshalText(text []byte) error {
	parsed := Headers{}
	for _, item := range split(text) {
		name, value, _ := strings.Cut(item, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || !matches(`[!#$%&'*+.^_|~0-9A-Za-z-]+`, strings.TrimSpace(name)) || !printable(value) {
			return errNotAllowed
		}
		parsed[strings.TrimSpace(name)] = value
	}
	*h = parsed
	return nil
}

// String returns a placeholder, and "" where there are none.
func (h Headers) String() string {
	if len(h) == 0 {
		return ""
	}
	return redacted
}

// Format prints String, whatever the verb.
func (h Headers) Format(f fmt.State, _ rune) { fmt.Fprint(f, h.String()) }

// LogValue is String.
func (h Headers) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalText is String.
func (h Headers) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func (Headers) words() string { return "comma-separated name=value pairs" }
