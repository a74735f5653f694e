package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://cls:hunter2@db:5432/cls?sslpassword=hunter2",
		"postgres://cls:a@b%2Fhunter2@db/cls",
		"host=db user=cls dbname=cls password=hunter2",
		`host=db user=cls password='it\'s hunter2' sslpassword=hunter2 dbname=cls`,
	} {
		cfg, err := Load([]string{
			"DATABASE_URL=" + url, "AUTH_PROXY_SECRET=hunter2", "OTEL_EXPORTER_OTLP_HEADERS=api-key=hunter2",
		})
		if err != nil {
			t.Fatal(err)
		}
		for form, text := range printed(t, cfg) {
			if strings.Contains(text, "hunter2") {
				t.Errorf("%s of %s shows a secret: %s", form, url, text)
			}
			if form != "%d" && form != "%x" && !strings.Contains(text, "db") {
				t.Errorf("%s of %s does not tell the host: %s", form, url, text)
			}
		}
	}
}

// printed prints cfg in each way that code is likely to, whole and by its parts.
func printed(t *testing.T, cfg Config) map[string]string {
	t.Helper()
	forms := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		forms[verb] = fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, cfg.Database.URL) +
			fmt.Sprintf(verb, cfg.Auth.ProxySecret) + fmt.Sprintf(verb, cfg.Tracing.Headers)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	forms["json"] = string(text)
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&logged, nil), slog.NewTextHandler(&logged, nil)} {
		slog.New(h).Info("config", "config", cfg, "pointer", &cfg, "url", cfg.Database.URL,
			"secret", cfg.Auth.ProxySecret, "headers", cfg.Tracing.Headers)
	}
	forms["slog"] = logged.String()
	return forms
}

func TestSecretKeepsItsValue(t *testing.T) {
	t.Parallel()
	cfg, err := Load([]string{"AUTH_PROXY_SECRET=hunter2", "DATABASE_URL=postgres://u:hunter2@h/d"})
	if err != nil {
		t.Fatal(err)
	}
	if string(cfg.Auth.ProxySecret) != "hunter2" || string(cfg.Database.URL) != "postgres://u:hunter2@h/d" {
		t.Error("the conversion to string does not give the value")
	}
	if cfg.Auth.ProxySecret.String() != "[redacted]" || Secret("").String() != "" {
		t.Error("one should see whether a secret is set")
	}
}

func TestDatabaseURLString(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgres://u:p@h:5432/d?sslmode=disable": "postgres://u@h:5432/d",
		"postgresql://h/d":                        "postgres://h/d",
		"postgres://u:p/w@h/d":                    "postgres://u@h/d",
		"postgres:///d?host=/tmp":                 "postgres:///d",
		"host=h port=1 password=p dbname='d e'":   "host=h port=1 dbname='d e'",
		"":                                        "",
	} {
		if got := DatabaseURL(in).String(); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}
