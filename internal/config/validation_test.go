package config

import (
	"errors"
	"strings"
	"testing"
)

func TestContradictions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why     string
		environ string
		named   []string // nil: allowed
	}{
		{"no open door in production", "AUTH_MODE=disabled ENVIRONMENT=production", []string{"AUTH_MODE", "ENVIRONMENT"}},
		{"by its other name", "DISABLE_AUTH=true ENVIRONMENT=production", []string{"DISABLE_AUTH", "ENVIRONMENT"}},
		{"however production is spelt", "DISABLE_AUTH=true ENVIRONMENT=Production", []string{"DISABLE_AUTH", "ENVIRONMENT"}},
		{"development may", "DISABLE_AUTH=true ENVIRONMENT=development", nil},
		{"off and on", "DISABLE_AUTH=true AUTH_MODE=gateway", []string{"DISABLE_AUTH", "AUTH_MODE"}},
		{"gateway by default is nobody's word", "DISABLE_AUTH=true", nil},
		{"twice off", "DISABLE_AUTH=true AUTH_MODE=disabled", nil},
		{"one port twice", "PORT=9000 METRICS_PORT=9000", []string{"PORT", "METRICS_PORT"}},
		{"a default is a value", "PORT=8081", []string{"PORT", `METRICS_PORT="8081" (the default)`}},
		{"two free ports", "PORT=0 METRICS_PORT=0", nil},
		{"more idle than open", "DATABASE_MIN_IDLE_CONNS=26", []string{"DATABASE_MIN_IDLE_CONNS", "DATABASE_MAX_OPEN_CONNS"}},
		{"all idle", "DATABASE_MAX_OPEN_CONNS=2", nil},
		{"one topic for both", "PUBSUB_NODEPOOL_EVENTS_TOPIC=cluster-events", []string{"PUBSUB_NODEPOOL_EVENTS_TOPIC", "PUBSUB_CLUSTER_EVENTS_TOPIC"}},
		{"attention rarer than stable", "RECONCILIATION_ATTENTION_INTERVAL=6m", []string{"RECONCILIATION_ATTENTION_INTERVAL", "RECONCILIATION_STABLE_INTERVAL"}},
		{"equal lanes", "RECONCILIATION_ATTENTION_INTERVAL=5m", nil},
		{"debounce beyond attention", "REACTIVE_RECONCILIATION_DEBOUNCE=31s", []string{"REACTIVE_RECONCILIATION_DEBOUNCE", "RECONCILIATION_ATTENTION_INTERVAL"}},
		{"passes beyond attention", "RECONCILIATION_CHECK_INTERVAL=31s", []string{"RECONCILIATION_CHECK_INTERVAL", "RECONCILIATION_ATTENTION_INTERVAL"}},
		{"a refused value contradicts nobody", "RECONCILIATION_ATTENTION_INTERVAL=x RECONCILIATION_STABLE_INTERVAL=20s", []string{"RECONCILIATION_ATTENTION_INTERVAL"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			_, err := Load(strings.Fields(c.environ))
			if c.named == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("want one fault, got: %v", err)
			}
			for _, name := range c.named {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%q is not in: %v", name, err)
				}
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	const db, project = "DATABASE_URL is not set", "GOOGLE_CLOUD_PROJECT is not set"
	for _, c := range []struct {
		why     string
		environ []string
		needs   []Need
		want    []string
	}{
		{"dev needs nothing", nil, nil, nil},
		{"migrate needs the database", nil, []Need{NeedDatabase}, []string{db}},
		{"serve needs both, and says so at once", nil, []Need{NeedDatabase, NeedPubSub}, []string{db, project}},
		{"an emulator stands in for the project", []string{"PUBSUB_EMULATOR_HOST=localhost:8085"}, []Need{NeedPubSub}, nil},
		{"both there", []string{"DATABASE_URL=postgres:///cls", "GOOGLE_CLOUD_PROJECT=p"}, []Need{NeedDatabase, NeedPubSub}, nil},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			_, err := Load(c.environ, c.needs...)
			err = errors.Join(err) // nil stays nil
			if (err == nil) != (c.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

func TestDisabled(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]bool{"": false, "DISABLE_AUTH=true": true, "AUTH_MODE=disabled": true, "AUTH_MODE=gateway": false} {
		cfg, err := Load([]string{environ})
		if err != nil || cfg.Auth.Disabled() != want {
			t.Errorf("%s: disabled is %t (%v)", environ, cfg.Auth.Disabled(), err)
		}
	}
}

// FuzzLoad holds that no value panics, that each is accepted or refused with one
// line that names it, and that what is accepted never prints a secret.
func FuzzLoad(f *testing.F) {
	for name, s := range samples() {
		for _, value := range append(s.bad, s.good) {
			f.Add(name, value)
		}
	}
	byName := map[string]Setting{}
	for _, s := range settings() {
		byName[s.Name] = s
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		s, known := byName[name]
		if !known {
			t.Skip()
		}
		_, err := Load([]string{name + "=" + value})
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), s.Name) {
			t.Errorf("fault without the variable: %v", err)
		}
		if s.Secret && strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("more than one line: %v", err)
		}
	})
}
