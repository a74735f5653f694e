package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// defaultURL is where make dev listens.
const defaultURL = "http://127.0.0.1:8080"

// configuration is the file of contexts. Its zero value is that of somebody who has none.
type configuration struct {
	Current  string  `yaml:"current-context,omitempty"`
	Contexts []place `yaml:"contexts,omitempty"`
}

// place is a context: a service, and who calls it.
type place struct {
	Name     string `yaml:"name"`
	URL      string `yaml:"url,omitempty"`
	Identity string `yaml:"identity,omitempty"`
	Token    string `yaml:"token,omitempty"`
}

// configPath is where the configuration is kept.
func configPath() (string, error) {
	if path := os.Getenv("CLS_CONFIG"); path != "" {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage("CLS_CONFIG names the file of the configuration", "there is no home folder: %v", err)
	}
	return filepath.Join(home, ".config", "cls", "config.yaml"), nil
}

// loadConfig reads the configuration. A file with a token in it that others may read is refused.
func loadConfig() (configuration, error) {
	path, err := configPath()
	if err != nil {
		return configuration{}, err
	}
	file, err := os.Open(path) //nolint:gosec // the file is the one that its user names
	if errors.Is(err, fs.ErrNotExist) {
		return configuration{}, nil
	}
	if err != nil {
		return configuration{}, fmt.Errorf("read the configuration: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return configuration{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := parseConfig(file, path)
	if err == nil && c.secret() && info.Mode().Perm()&0o077 != 0 {
		err = usage("chmod 600 "+path, "%s has a token in it, and others may read it (mode %04o)", path, info.Mode().Perm())
	}
	return c, err
}

func parseConfig(r io.Reader, path string) (c configuration, err error) {
	dec := yaml.NewDecoder(r)
	dec.KnownFields(true)
	err = dec.Decode(&c)
	if err != nil && !errors.Is(err, io.EOF) {
		const hint = "mend it, or remove it and make it anew: cls config set-context NAME --url URL"
		return c, usage(hint, "%s is no configuration of cls: %s", path, fault(err))
	}
	return c, nil
}

// secret reports whether there is a token in it.
func (c configuration) secret() bool {
	return slices.ContainsFunc(c.Contexts, func(p place) bool { return p.Token != "" })
}

// save writes the configuration as a whole or not at all, for its owner only.
func (c configuration) save() error {
	path, err := configPath()
	if err != nil {
		return err
	}
	text, err := encodeYAML(c)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to // A link to it stays one.
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".config-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = bytes.NewReader(text).WriteTo(temp)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// find returns the context of a name; false when there is none.
func (c configuration) find(name string) (place, bool) {
	i := c.index(name)
	if i < 0 {
		return place{}, false
	}
	return c.Contexts[i], true
}

func (c configuration) index(name string) int {
	return slices.IndexFunc(c.Contexts, func(p place) bool { return p.Name == name })
}

// noContext is the failure for a name of no context.
func noContext(name string) error {
	return usage("cls config get-contexts lists yours", "context %q does not exist", name)
}

// resolve says whom to call and as whom: a flag goes before the environment, and that before the context, unless it is a flag
// that names the context. The token of a context is for its address alone: it is sent to no other.
func (c configuration) resolve(g *globals, env func(string) string) (place, error) {
	name := cmp.Or(g.context, env("CLS_CONTEXT"), c.Current)
	of, ok := c.find(name)
	if name != "" && !ok {
		return place{}, noContext(name)
	}
	of.URL = cmp.Or(of.URL, defaultURL)
	around := place{URL: env("CLS_URL"), Identity: env("CLS_IDENTITY"), Token: env("CLS_TOKEN")}
	to := place{Name: name, URL: cmp.Or(g.url, around.URL, of.URL)}
	if g.context != "" {
		to.URL = cmp.Or(g.url, of.URL)
	}
	if to.URL != of.URL {
		of.Token = ""
	}
	first, then := around, of
	if g.context != "" {
		first, then = of, around
	}
	if first.Name != "" && first.Token != "" {
		then.Identity = "" // The token says who calls.
	}
	to.Token, to.Identity = cmp.Or(first.Token, then.Token), cmp.Or(g.as, first.Identity, then.Identity)
	if to.Identity == "" && to.Token == "" {
		to.Identity = selfIdentity(cmp.Or(env("USER"), env("LOGNAME")))
	}
	return to, nil
}

// selfIdentity is the address of a user of this machine. What an address cannot hold of the name is left out.
func selfIdentity(user string) string {
	user = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, strings.ToLower(user))
	return cmp.Or(user, "user") + "@localhost"
}
