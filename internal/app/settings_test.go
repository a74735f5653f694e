package app_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cls-backend/cls-backend/internal/config"
)

// effect shows, in a running service, what settings do.
type effect struct {
	settings string // names, separated by blanks
	shows    func(*testing.T)
}

func effects() []effect {
	return []effect{
		{"ENVIRONMENT", showEnvironment},
		{"DATABASE_URL DATABASE_MAX_OPEN_CONNS", showMostConnections},
		{"DATABASE_MIN_IDLE_CONNS", showIdleConnections},
		{"DATABASE_CONN_MAX_LIFETIME", showLifetime},
		{"DATABASE_CONN_MAX_IDLE_TIME", showIdleTime},
		{"DATABASE_STATEMENT_TIMEOUT", showStatementTimeout},
		{"GOOGLE_CLOUD_PROJECT PUBSUB_EMULATOR_HOST PUBSUB_CLUSTER_EVENTS_TOPIC PUBSUB_NODEPOOL_EVENTS_TOPIC", showTopics},
		{"PUBSUB_PUBLISH_TIMEOUT", showPublishTimeout},
		{"HOST PORT METRICS_PORT", showAddresses},
		{"SERVER_READ_TIMEOUT", showReadTimeout},
		{"SERVER_WRITE_TIMEOUT", showWriteTimeout},
		{"SERVER_IDLE_TIMEOUT", showServerIdleTimeout},
		{"SERVER_SHUTDOWN_TIMEOUT", showShutdownTimeout},
		{"SERVER_MAX_BODY_BYTES", showMaxBody},
		{"AUTH_MODE", showAuthMode},
		{"DISABLE_AUTH", showDisableAuth},
		{"AUTH_TRUSTED_PROXIES AUTH_PROXY_SECRET", showProxies},
		{"AUTH_TRUST_ROLES", showRoles},
		{"CONTROLLER_NETWORKS CONTROLLER_IDENTITIES", showControllers},
		{"ADMIN_IDENTITIES", showAdmins},
		{"CORS_ALLOWED_ORIGINS", showCORS},
		{"REDACTED_SPEC_FIELDS", showRedaction},
		{"DEFAULT_CLUSTER_VERSION DEFAULT_CHANNEL_GROUP", showDefaults},
		{"SPEC_SCHEMA_DIR", showSchemas},
		{"RECONCILIATION_ENABLED RECONCILIATION_CHECK_INTERVAL RECONCILIATION_ATTENTION_INTERVAL", showAttention},
		{"RECONCILIATION_STABLE_INTERVAL RECONCILIATION_ATTENTION_AGE", showStable},
		{"REACTIVE_RECONCILIATION_ENABLED REACTIVE_RECONCILIATION_DEBOUNCE", showReactive},
		{"STATUS_PROGRESS_DEADLINE", showDeadline},
		{"OUTBOX_RETENTION TOMBSTONE_RETENTION HISTORY_RETENTION", showRetention},
		{"LOG_LEVEL", showLogLevel},
		{"LOG_FORMAT", showLogFormat},
		{"OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME OTEL_EXPORTER_OTLP_HEADERS", showTraces},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", showTracesEndpoint},
		{"OTEL_TRACES_SAMPLER OTEL_TRACES_SAMPLER_ARG", showSampler},
	}
}

// A setting without a row here fails, and so does a row that does not show its effect.
func TestTrap33_EverySettingHasAnEffect(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for _, e := range effects() {
		for name := range strings.FieldsSeq(e.settings) {
			rows[name] = true
		}
		t.Run(e.settings, func(t *testing.T) {
			t.Parallel()
			e.shows(t)
		})
	}
	names := settingNames(reflect.TypeFor[config.Config]())
	for _, name := range names {
		if !rows[name] {
			t.Errorf("nothing shows that %s has an effect", name)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s is no setting", name)
	}
}

// settingNames lists the variables that fill a type.
func settingNames(group reflect.Type) (names []string) {
	for field := range group.Fields() {
		if name, ok := field.Tag.Lookup("env"); ok {
			names = append(names, name)
		} else {
			names = append(names, settingNames(field.Type)...)
		}
	}
	return names
}
