package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rule is what a plain text may be.
type rule struct {
	words string
	ok    func(string) bool
}

// rules are the values of the tag "rule".
func rules() map[string]rule {
	samplers := []string{
		"always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
	}
	return map[string]rule{
		"label":    {"DNS label: up to 63 letters, digits and -", func(s string) bool { return isLabel(strings.ToLower(s)) }},
		"project":  {"Google Cloud project id", pattern(`[a-z0-9][a-z0-9.:-]{0,99}`)},
		"topic":    {"Pub/Sub topic id: a letter, then 2 to 254 of A-Z a-z 0-9 - _ . ~ + %; not goog...", isTopic},
		"host":     {"IP address or host name", isHost},
		"hostport": {"address of the form host:port", isHostPort},
		"sampler":  {"one of " + strings.Join(samplers, ", "), func(s string) bool { return slices.Contains(samplers, s) }},
		"url":      {"http:// or https:// URL", isHTTP},
		"folder":   {"path of a folder", func(s string) bool { return matches(`[^\pC]+`, s) }},
		"text":     {"printable ASCII text of up to 100 characters", func(s string) bool { return len(s) <= 100 && printable(s) }},
	}
}

// holds tells whether the setting's value in cfg is within its list, rule or
// bounds. What parsing itself refuses has been refused before.
func (s Setting) holds(cfg Config) bool {
	value := reflect.ValueOf(cfg).FieldByIndex(s.index)
	if oneof := s.field.Tag.Get("oneof"); oneof != "" {
		return slices.Contains(strings.Split(oneof, ","), value.String())
	}
	if r, ok := rules()[s.field.Tag.Get("rule")]; ok {
		return r.ok(value.String())
	}
	number, isNumber := asNumber(value)
	return !isNumber || s.within(number)
}

// within compares as floating point; every bound is far below 2^53. The negated
// comparisons refuse NaN.
func (s Setting) within(number float64) bool {
	least, hasLeast := s.bound("min")
	most, hasMost := s.bound("max")
	return !(hasLeast && !(number >= least)) && !(hasMost && !(number <= most))
}

func (s Setting) bound(tag string) (bound float64, set bool) {
	text := s.field.Tag.Get(tag)
	if s.field.Type == durationType() {
		d, err := time.ParseDuration(text)
		return float64(d), err == nil
	}
	bound, err := strconv.ParseFloat(text, 64)
	return bound, err == nil
}

func asNumber(v reflect.Value) (float64, bool) {
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

func durationType() reflect.Type { return reflect.TypeFor[time.Duration]() }

// missing names what the command needs and nobody set. A variable that was set
// and refused has its fault already.
func (l *loader) missing(cfg Config, needs []Need) []error {
	var faults []error
	if slices.Contains(needs, NeedDatabase) && cfg.Database.URL == "" && !l.bad["DATABASE_URL"] {
		faults = append(faults, fmt.Errorf("DATABASE_URL is not set; required: %s", cfg.Database.URL.words()))
	}
	if slices.Contains(needs, NeedPubSub) && cfg.PubSub.ProjectID == "" &&
		!l.bad["GOOGLE_CLOUD_PROJECT"] && !l.bad["PUBSUB_EMULATOR_HOST"] {
		faults = append(faults, fmt.Errorf("GOOGLE_CLOUD_PROJECT is not set; required: %s, unless PUBSUB_EMULATOR_HOST is set",
			rules()["project"].words))
	}
	return faults
}

// conflict is two settings that may not stand together.
type conflict struct {
	one, other string
	stands     bool
	why        string
}

// contradictions names each pair of settings that contradict each other, with
// the values that they have, defaults included.
func (l *loader) contradictions(cfg Config) []error {
	var faults []error
	for _, c := range l.conflicts(cfg) {
		if c.stands && !l.bad[c.one] && !l.bad[c.other] {
			faults = append(faults, fmt.Errorf("%s contradicts %s: %s", l.shown(c.one), l.shown(c.other), c.why))
		}
	}
	return faults
}

func (l *loader) conflicts(cfg Config) []conflict {
	production := strings.EqualFold(cfg.Environment, "production")
	r, db, srv := cfg.Reconciliation, cfg.Database, cfg.Server
	return []conflict{
		{
			"AUTH_MODE", "ENVIRONMENT", production && cfg.Auth.Mode == AuthDisabled,
			"production never runs without authentication",
		},
		{
			"DISABLE_AUTH", "ENVIRONMENT", production && cfg.Auth.DisableAuth,
			"production never runs without authentication",
		},
		{
			"DISABLE_AUTH", "AUTH_MODE", cfg.Auth.DisableAuth && l.values["AUTH_MODE"] == AuthGateway,
			"one turns authentication off and the other on",
		},
		{
			"METRICS_PORT", "PORT", srv.Port != 0 && srv.Port == srv.MetricsPort,
			"two listeners cannot share a port; 0 picks a free one",
		},
		{
			"DATABASE_MIN_IDLE_CONNS", "DATABASE_MAX_OPEN_CONNS", db.MinIdleConns > db.MaxOpenConns,
			"no more connections can be idle than open",
		},
		{
			"PUBSUB_NODEPOOL_EVENTS_TOPIC", "PUBSUB_CLUSTER_EVENTS_TOPIC",
			cfg.PubSub.NodePoolEventsTopic == cfg.PubSub.ClusterEventsTopic,
			"the two topics must differ",
		},
		{
			"RECONCILIATION_ATTENTION_INTERVAL", "RECONCILIATION_STABLE_INTERVAL", r.AttentionInterval > r.StableInterval,
			"attention must not be rarer than stable",
		},
		{
			"REACTIVE_RECONCILIATION_DEBOUNCE", "RECONCILIATION_ATTENTION_INTERVAL", r.ReactiveDebounce > r.AttentionInterval,
			"a reactive wake-up must not come later than a periodic one",
		},
		{
			"RECONCILIATION_CHECK_INTERVAL", "RECONCILIATION_ATTENTION_INTERVAL", r.CheckInterval > r.AttentionInterval,
			"passes rarer than the interval cannot keep it",
		},
	}
}

// shown is NAME="value" with the value in force. No conflict involves a secret.
func (l *loader) shown(name string) string {
	value, set := l.values[name]
	if !set {
		i := slices.IndexFunc(settings(), func(s Setting) bool { return s.Name == name })
		return fmt.Sprintf("%s=%q (the default)", name, settings()[i].Default)
	}
	return fmt.Sprintf("%s=%q", name, value)
}

func matches(expr, s string) bool { return regexp.MustCompile(`\A(?:` + expr + `)\z`).MatchString(s) }

func pattern(expr string) func(string) bool {
	return func(s string) bool { return matches(expr, s) }
}

func printable(s string) bool { return matches(`[ -~]*`, s) }

// isLabel follows RFC 1123, lower case as Kubernetes has it.
func isLabel(s string) bool { return matches(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`, s) }

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= 253 && matches(`[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*`, s)
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isHost(host) {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

// isTopic follows "Guidelines to name a resource" of Google Cloud Pub/Sub.
func isTopic(s string) bool {
	return matches(`[A-Za-z][A-Za-z0-9._~+%-]{2,254}`, s) && !strings.HasPrefix(s, "goog")
}

// isEmail asks for what a gateway sends, not for all that RFC 5322 allows: no
// quotes, comments or display names.
func isEmail(s string) bool {
	local, domain, _ := strings.Cut(s, "@")
	return len(s) <= 254 && matches("[A-Za-z0-9.!#$%&'*+/?^_`{|}~-]+", local) && isHost(domain)
}
