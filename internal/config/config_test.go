package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Environment: "development",
		Database: Database{
			MaxOpenConns: 25, MinIdleConns: 2, ConnMaxLifetime: 30 * time.Minute,
			ConnMaxIdleTime: 5 * time.Minute, StatementTimeout: 10 * time.Second,
		},
		PubSub: PubSub{ClusterEventsTopic: "cluster-events", NodePoolEventsTopic: "nodepool-events", PublishTimeout: 10 * time.Second},
		Server: Server{
			Port: 8080, MetricsPort: 8081, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: time.Minute, ShutdownTimeout: 25 * time.Second, MaxBodyBytes: 1 << 20,
		},
		Auth: Auth{
			Mode:                 AuthGateway,
			TrustedProxies:       Prefixes{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			ControllerIdentities: ControllerIdentities{{Email: "controller@system.local"}},
		},
		Reconciliation: Reconciliation{
			Enabled: true, CheckInterval: time.Second, AttentionInterval: 30 * time.Second, StableInterval: 5 * time.Minute,
			AttentionAge: 2 * time.Hour, ReactiveEnabled: true, ReactiveDebounce: 2 * time.Second,
		},
		Status:    Status{ProgressDeadline: 30 * time.Minute},
		Retention: Retention{Outbox: 24 * time.Hour, Tombstone: 720 * time.Hour, History: 2160 * time.Hour},
		Log:       Log{Level: "info", Format: "json"},
		Tracing:   Tracing{ServiceName: "cls-backend", Sampler: "parentbased_always_on", SamplerArg: 1},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

// sample is one variable set to something that is allowed and not its default,
// and some things that are not.
type sample struct {
	good string
	bad  []string
}

func samples() map[string]sample {
	duration := sample{"7s", []string{"7", "0s", "-1s", "soon"}}
	boolean := func(other string) sample { return sample{other, []string{"yes", "2", "on"}} }
	text := sample{"4.19.1", []string{"tab\there", strings.Repeat("x", 101)}}
	cidrs := sample{"10.0.0.0/8, 2001:db8::/32", []string{"10.0.0.1", "10.0.0.0/33", "10.0.0.0/8,", "gateway", "::ffff:10.0.0.0/104"}}
	topic := sample{"my-topic", []string{"a", "1abc", "google-events", "with space", strings.Repeat("x", 256)}}
	endpoint := sample{"https://otel:4318", []string{"otel:4318", "grpc://otel:4317", "http://", "http://user:pass@otel"}}
	return map[string]sample{
		"ENVIRONMENT":                        {"staging", []string{"a b", "-x", strings.Repeat("x", 64)}},
		"DATABASE_URL":                       {"host=db user=cls password='a b'", []string{"mysql://db/cls", "somewhere", "postgres://db:port/cls", "postgres://a:%zz@db/cls", "host='db"}},
		"DATABASE_MAX_OPEN_CONNS":            {"50", []string{"0", "1", "-1", "many", "2.5", "10001"}},
		"DATABASE_MIN_IDLE_CONNS":            {"5", []string{"-1", "few", "10001"}},
		"DATABASE_CONN_MAX_LIFETIME":         duration,
		"DATABASE_CONN_MAX_IDLE_TIME":        duration,
		"DATABASE_STATEMENT_TIMEOUT":         duration,
		"GOOGLE_CLOUD_PROJECT":               {"my-project", []string{"My Project", "projects/x", "-x"}},
		"PUBSUB_EMULATOR_HOST":               {"localhost:8085", []string{"localhost", "http://localhost:8085", "localhost:0", ":8085", "localhost:http"}},
		"PUBSUB_CLUSTER_EVENTS_TOPIC":        topic,
		"PUBSUB_NODEPOOL_EVENTS_TOPIC":       topic,
		"PUBSUB_PUBLISH_TIMEOUT":             {"7s", []string{"0s", "11s", "ten"}},
		"HOST":                               {"127.0.0.1", []string{"a b", "127.0.0.1:80", "[::1]", "http://x"}},
		"PORT":                               {"0", []string{"-1", "65536", "http"}},
		"METRICS_PORT":                       {"0", []string{"-1", "65536", "http"}},
		"SERVER_READ_TIMEOUT":                duration,
		"SERVER_WRITE_TIMEOUT":               duration,
		"SERVER_IDLE_TIMEOUT":                duration,
		"SERVER_SHUTDOWN_TIMEOUT":            {"7s", []string{"0s", "26s", "-1s", "fast"}},
		"SERVER_MAX_BODY_BYTES":              {"1000", []string{"0", "-1", "1MiB", "1048577"}},
		"AUTH_MODE":                          {"disabled", []string{"none", "Gateway"}},
		"DISABLE_AUTH":                       boolean("true"),
		"AUTH_TRUSTED_PROXIES":               cidrs,
		"AUTH_PROXY_SECRET":                  {"s3cret-gw", []string{"s3cret\ngw", "s3crét-gw"}},
		"AUTH_TRUST_ROLES":                   boolean("true"),
		"CONTROLLER_NETWORKS":                cidrs,
		"CONTROLLER_IDENTITIES":              {"dns@x.example=dns, net@x.example", []string{"dns", "dns@", "@x", "a@x=Not_A_Label", "a@x=", "a@x,A@x=b", "a b@x", "a@x,"}},
		"ADMIN_IDENTITIES":                   {"root@x.example", []string{"root", "root@x@y", "a@x=b", "Root <root@x.example>"}},
		"CORS_ALLOWED_ORIGINS":               {"https://Console.example.com:8443", []string{"console.example.com", "https://x/", "https://x/path", "https://x?q", "*,https://x", "https://*.x", "null", "https://u@x"}},
		"REDACTED_SPEC_FIELDS":               {"credentials.token, spec.pullSecret", []string{"a..b", ".a", "a.", "a b", "spec", "a,", "spec."}},
		"DEFAULT_CLUSTER_VERSION":            text,
		"DEFAULT_CHANNEL_GROUP":              text,
		"SPEC_SCHEMA_DIR":                    {"/etc/cls/our schemas", []string{"a\nb", "a\tb"}},
		"RECONCILIATION_ENABLED":             boolean("false"),
		"RECONCILIATION_CHECK_INTERVAL":      duration,
		"RECONCILIATION_ATTENTION_INTERVAL":  duration,
		"RECONCILIATION_STABLE_INTERVAL":     {"7m", duration.bad},
		"RECONCILIATION_ATTENTION_AGE":       {"0s", []string{"-1s", "old"}},
		"REACTIVE_RECONCILIATION_ENABLED":    boolean("false"),
		"REACTIVE_RECONCILIATION_DEBOUNCE":   duration,
		"STATUS_PROGRESS_DEADLINE":           duration,
		"OUTBOX_RETENTION":                   duration,
		"TOMBSTONE_RETENTION":                duration,
		"HISTORY_RETENTION":                  duration,
		"LOG_LEVEL":                          {"debug", []string{"trace", "INFO", "0"}},
		"LOG_FORMAT":                         {"text", []string{"logfmt"}},
		"OTEL_EXPORTER_OTLP_ENDPOINT":        endpoint,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
		"OTEL_EXPORTER_OTLP_HEADERS":         {"api-key=s3cret%2Dk", []string{"no/key=x", "=x", "k=%zz", "k=%0A", "a=b,"}},
		"OTEL_SERVICE_NAME":                  text,
		"OTEL_TRACES_SAMPLER":                {"traceidratio", []string{"jaeger_remote", "sometimes"}},
		"OTEL_TRACES_SAMPLER_ARG":            {"0.25", []string{"1.1", "-0.1", "NaN", "some"}},
	}
}

func TestEverySettingHasAnEffectAndRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	table := samples()
	if len(table) != len(settings()) {
		t.Errorf("%d settings, %d samples", len(settings()), len(table))
	}
	base, err := Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			checkGood(t, s, table[s.Name].good, base)
			if len(table[s.Name].bad) == 0 {
				t.Error("no sample of a bad value")
			}
			for _, bad := range table[s.Name].bad {
				checkBad(t, s, bad)
			}
		})
	}
}

func checkGood(t *testing.T, s Setting, value string, base Config) {
	t.Helper()
	cfg, err := Load([]string{s.Name + "= " + value + " "})
	if err != nil {
		t.Fatalf("%q was refused: %v", value, err)
	}
	if cmp.Equal(base, cfg, cmpopts.EquateComparable(netip.Prefix{})) {
		t.Errorf("%q changed nothing", value)
	}
	empty, err := Load([]string{s.Name + "="})
	if diff := cmp.Diff(base, empty, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
		t.Errorf("empty is not the default: %v %s", err, diff)
	}
}

func checkBad(t *testing.T, s Setting, value string) {
	t.Helper()
	_, err := Load([]string{s.Name + "=" + value})
	if err == nil {
		t.Errorf("%q was accepted", value)
		return
	}
	faults := strings.Split(err.Error(), "\n")
	if len(faults) != 1 || !strings.HasPrefix(faults[0], s.Name+"=") || !strings.HasSuffix(faults[0], "; allowed: "+s.Type) {
		t.Errorf("%q: the fault does not name the variable and what is allowed, once: %v", value, err)
	}
	if s.Secret && strings.Contains(err.Error(), value) {
		t.Errorf("the fault shows a secret: %v", err)
	}
	if !s.Secret && len(value) < 64 && !strings.ContainsAny(value, "\t\n") && !strings.Contains(faults[0], `="`+value+`"`) {
		t.Errorf("the fault does not show %q: %v", value, err)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	var environ []string
	for name, s := range samples() {
		environ = append(environ, name+"="+s.bad[0])
	}
	_, err := Load(environ, NeedDatabase, NeedPubSub)
	if err == nil {
		t.Fatal("accepted")
	}
	faults := strings.Split(err.Error(), "\n")
	if len(faults) != len(settings()) {
		t.Errorf("%d settings are wrong, %d faults named", len(settings()), len(faults))
	}
	for _, s := range settings() {
		if strings.Count("\n"+err.Error(), "\n"+s.Name+"=") != 1 {
			t.Errorf("%s is not named exactly once", s.Name)
		}
	}
}

func TestParsedForms(t *testing.T) {
	t.Parallel()
	cfg, err := Load([]string{
		"CONTROLLER_IDENTITIES=dns@x.example=dns, Net@x.example",
		"ADMIN_IDENTITIES=a@x.example,b@x.example",
		"AUTH_TRUSTED_PROXIES=10.1.2.3/8",
		"CORS_ALLOWED_ORIGINS=https://Console.example.com:8443,http://localhost:3000",
		"REDACTED_SPEC_FIELDS=spec.credentials.token,pullSecret,spec.spec.x",
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=a%2Cb, x-other=c",
		"PUBSUB_EMULATOR_HOST=[::1]:8085",
		"DATABASE_URL=postgresql://u:p@h1:5432,h2:5433/cls?sslmode=require",
	}, NeedDatabase, NeedPubSub)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"controller identities", cfg.Auth.ControllerIdentities, ControllerIdentities{{"dns@x.example", "dns"}, {"Net@x.example", ""}}},
		{"admins", cfg.Auth.AdminIdentities, Identities{"a@x.example", "b@x.example"}},
		{"host bits are cleared", cfg.Auth.TrustedProxies, Prefixes{netip.MustParsePrefix("10.0.0.0/8")}},
		{"origins in lower case", cfg.CORS.AllowedOrigins, Origins{"https://console.example.com:8443", "http://localhost:3000"}},
		{"paths are relative to spec", cfg.Spec.RedactedFields, SpecPaths{"credentials.token", "pullSecret", "spec.x"}},
		{"headers are decoded", cfg.Tracing.Headers, Headers{"api-key": "a,b", "x-other": "c"}},
		{"an emulator needs no project", cfg.PubSub.ProjectID, EmulatorProject},
		{"several hosts", string(cfg.Database.URL), "postgresql://u:p@h1:5432,h2:5433/cls?sslmode=require"},
	} {
		if diff := cmp.Diff(c.want, c.got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestTracesURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why  string
		in   Tracing
		want string
	}{
		{"off without an endpoint", Tracing{}, ""},
		{"the general endpoint is a base", Tracing{Endpoint: "http://o:4318"}, "http://o:4318/v1/traces"},
		{"with a slash at its end", Tracing{Endpoint: "http://o:4318/x/"}, "http://o:4318/x/v1/traces"},
		{"the signal's own is exact and goes first", Tracing{Endpoint: "http://o:4318", TracesEndpoint: "http://p/in"}, "http://p/in"},
	} {
		if got := c.in.URL(); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}
