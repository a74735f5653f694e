package config

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// errNotAllowed is what every parser here returns. What is allowed is said once,
// by the setting's type in words.
var errNotAllowed = errors.New("not allowed")

// inWords is a type that says what it allows.
type inWords interface{ words() string }

// split returns the items of a comma-separated list without the blanks around
// them. An empty item stays, and is refused by whoever parses it.
func split(text []byte) []string {
	items := strings.Split(string(text), ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// Prefixes are networks, host bits cleared.
type Prefixes []netip.Prefix

// UnmarshalText reads comma-separated CIDRs. An IPv4-mapped IPv6 network is
// refused, since netip matches no address with it.
func (p *Prefixes) UnmarshalText(text []byte) error {
	var parsed Prefixes
	for _, item := range split(text) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil || prefix.Addr().Is4In6() {
			return errNotAllowed
		}
		parsed = append(parsed, prefix.Masked())
	}
	*p = parsed
	return nil
}

func (Prefixes) words() string { return "comma-separated CIDRs, such as 10.0.0.0/8" }

// Identities are e-mail addresses, spelt as they were set.
type Identities []string

// UnmarshalText reads comma-separated addresses.
func (l *Identities) UnmarshalText(text []byte) error {
	items := split(text)
	for _, item := range items {
		if !isEmail(item) {
			return errNotAllowed
		}
	}
	*l = items
	return nil
}

func (Identities) words() string { return "comma-separated e-mail addresses" }

// ControllerIdentity is the address of a controller and, where Name is not
// empty, the only controller name that it may report under.
type ControllerIdentity struct {
	Email string
	Name  string
}

// ControllerIdentities are the callers that are controllers; each address occurs
// once.
type ControllerIdentities []ControllerIdentity

// UnmarshalText reads comma-separated addresses, each of which may carry =name.
// An address that comes twice is refused: which name holds would be a guess.
func (l *ControllerIdentities) UnmarshalText(text []byte) error {
	var parsed ControllerIdentities
	seen := map[string]bool{}
	for _, item := range split(text) {
		email, name, bound := strings.Cut(item, "=")
		key := strings.ToLower(email)
		if !isEmail(email) || bound && !isLabel(name) || seen[key] {
			return errNotAllowed
		}
		seen[key] = true
		parsed = append(parsed, ControllerIdentity{Email: email, Name: name})
	}
	*l = parsed
	return nil
}

func (ControllerIdentities) words() string {
	return "comma-separated e-mail addresses, each once, each alone or as address=name with name a DNS label"
}

// Origins are web origins (RFC 6454) in lower case, or "*" alone.
type Origins []string

// UnmarshalText reads comma-separated origins. What browsers never send as an
// origin, such as one with a path, is refused: it would match nothing.
func (l *Origins) UnmarshalText(text []byte) error {
	if string(text) == "*" {
		*l = Origins{"*"}
		return nil
	}
	items := split(text)
	for i, item := range items {
		u, err := url.Parse(item)
		if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.Contains(item, "*") ||
			!strings.EqualFold(item, u.Scheme+"://"+u.Host) {
			return errNotAllowed
		}
		items[i] = strings.ToLower(item)
	}
	*l = items
	return nil
}

func (Origins) words() string {
	return "comma-separated origins, such as https://console.example.com, or * alone"
}

// SpecPaths are dotted paths, relative to spec.
type SpecPaths []string

// UnmarshalText reads comma-separated dotted paths. A leading "spec." is taken
// off, since that is how answers name a field and a path that redacts nothing
// would leak silently.
func (l *SpecPaths) UnmarshalText(text []byte) error {
	items := split(text)
	for i, item := range items {
		items[i] = strings.TrimPrefix(item, "spec.")
		if !matches(`[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*`, items[i]) || items[i] == "spec" {
			return errNotAllowed
		}
	}
	*l = items
	return nil
}

func (SpecPaths) words() string {
	return "comma-separated dotted paths below spec, such as credentials.token"
}
