package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Need is something that a command cannot do without, and which Load therefore
// insists on.
type Need int

// What a command may need: `serve` both, `migrate` the database, `dev` neither,
// since it starts its own.
const (
	NeedDatabase Need = iota
	NeedPubSub
)

// Load reads the settings from environ, whose entries have the form "NAME=value"
// as os.Environ returns them. An absent or empty variable means the default;
// variables that are not settings are ignored.
//
// The error joins every fault there is, one a line: each names the variable, the
// value (never a secret's) and what is allowed. A variable that is already at
// fault by itself is not reported as contradicting another as well.
func Load(environ []string, needs ...Need) (Config, error) {
	given := env.ToMap(environ)
	l := loader{values: map[string]string{}, bad: map[string]bool{}}
	var faults []error
	for _, s := range settings() {
		if err := l.take(s, given[s.Name]); err != nil {
			faults = append(faults, err)
		}
	}
	cfg, err := parse(l.values)
	if err != nil {
		return Config{}, errors.Join(append(faults, err)...)
	}
	if cfg.PubSub.ProjectID == "" && cfg.PubSub.EmulatorHost != "" {
		cfg.PubSub.ProjectID = EmulatorProject
	}
	faults = append(faults, l.missing(cfg, needs)...)
	faults = append(faults, l.contradictions(cfg)...)
	if len(faults) > 0 {
		return Config{}, errors.Join(faults...)
	}
	return cfg, nil
}

// loader gathers the values that were set and are allowed, and the names of
// those that are not.
type loader struct {
	values map[string]string
	bad    map[string]bool
}

// take tries a variable alone, so that a fault can be laid at its door: the
// parser reports the Go field, not the variable.
func (l *loader) take(s Setting, value string) error {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	probe, err := parse(map[string]string{s.Name: value})
	if err != nil || !s.holds(probe) {
		l.bad[s.Name] = true
		return s.fault(value)
	}
	l.values[s.Name] = value
	return nil
}

func parse(values map[string]string) (Config, error) {
	var cfg Config
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: values}); err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	return cfg, nil
}
