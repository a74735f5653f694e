package middleware

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func testAuth() Auth {
	return Auth{
		TrustedProxies: prefixes("192.0.2.0/24", "2001:db8::/32"), ProxySecret: "open sesame",
		ControllerNetworks: prefixes("198.51.100.0/24", "192.0.2.128/25"),
		Controllers:        []Controller{{Email: "Controller@System.local"}, {Email: "dns@system.local", Name: "dns"}},
		Admins:             []string{"Root@example.com", "dns@system.local"},
	}
}

const (
	gateway  = "192.0.2.7:5000"
	inside   = "198.51.100.9:5000"
	stranger = "203.0.113.1:5000"
)

func TestGate_SaysWhoCalls(t *testing.T) {
	t.Parallel()
	disabled := func(a *Auth) { a.Disabled = true }
	trusting := func(a *Auth) { a.TrustRoles = true }
	headers := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
		}
		return h
	}
	user := models.Actor{Email: "ada@example.com"}
	for _, test := range []struct {
		why    string
		peer   string
		header http.Header
		auth   func(*Auth)
		want   models.Actor
		code   v1.Code
	}{
		{why: "a gateway is believed", peer: gateway, header: headers("X-User-Email", "ada@example.com"), want: user},
		{why: "addresses have no case", peer: gateway, header: headers("X-User-Email", "Ada@Example.COM"), want: user},
		{why: "an IPv6 gateway is believed", peer: "[2001:db8::1]:5000", header: headers("X-User-Email", "ada@example.com"), want: user},
		{why: "a zone is no part of the network", peer: "[2001:db8::1%eth0]:5000", header: headers("X-User-Email", "ada@example.com"), want: user},
		{why: "an IPv4-mapped peer is the IPv4 one", peer: "[::ffff:192.0.2.7]:5000", header: headers("X-User-Email", "ada@example.com"), want: user},
		{why: "an admin by list, whatever the case", peer: gateway, header: headers("X-User-Email", "rOOT@example.com"), want: models.Actor{Email: "root@example.com", Admin: true}},
		{why: "a controller by list, whatever the case", peer: gateway, header: headers("X-User-Email", "CONTROLLER@system.local"), want: models.Actor{Email: "controller@system.local", Controller: true}},
		{why: "a bound controller keeps its name", peer: gateway, header: headers("X-User-Email", "dns@system.local"), want: models.Actor{Email: "dns@system.local", Controller: true, Admin: true, ControllerName: "dns"}},
		{why: "the secret makes a gateway of anybody", peer: stranger, header: headers("X-User-Email", "ada@example.com", "X-Proxy-Secret", "open sesame"), want: user},
		{why: "the secret works where the peer has no address", peer: "@", header: headers("X-User-Email", "ada@example.com", "X-Proxy-Secret", "open sesame"), want: user},
		{why: "another secret does not", peer: stranger, header: headers("X-User-Email", "ada@example.com", "X-Proxy-Secret", "open sesam"), code: v1.CodeUntrustedProxy},
		{why: "no secret is set, none is right", peer: stranger, header: headers("X-User-Email", "ada@example.com", "X-Proxy-Secret", ""), auth: func(a *Auth) { a.ProxySecret = "" }, code: v1.CodeUntrustedProxy},
		{why: "a stranger is not believed", peer: stranger, header: headers("X-User-Email", "ada@example.com"), code: v1.CodeUntrustedProxy},
		{why: "nor one who says to be a controller", peer: stranger, header: headers("X-User-Email", "controller@system.local"), code: v1.CodeUntrustedProxy},
		{why: "X-Forwarded-For is anybody's to write", peer: stranger, header: headers("X-User-Email", "ada@example.com", "X-Forwarded-For", "192.0.2.7"), code: v1.CodeUntrustedProxy},
		{why: "a peer without an address is nobody", peer: "@", header: headers("X-User-Email", "ada@example.com"), code: v1.CodeUntrustedProxy},
		{why: "controllers may name themselves from their network", peer: inside, header: headers("X-User-Email", "Controller@system.local"), want: models.Actor{Email: "controller@system.local", Controller: true}},
		{why: "but are never more than controllers there", peer: inside, header: headers("X-User-Email", "dns@system.local", "X-User-Roles", "admin"), auth: trusting, want: models.Actor{Email: "dns@system.local", Controller: true, ControllerName: "dns"}},
		{why: "and nobody else may", peer: inside, header: headers("X-User-Email", "ada@example.com"), code: v1.CodeUntrustedProxy},
		{why: "nor as an admin", peer: inside, header: headers("X-User-Email", "root@example.com"), code: v1.CodeUntrustedProxy},
		{why: "a gateway within the controllers' network is a gateway", peer: "192.0.2.200:1", header: headers("X-User-Email", "ada@example.com"), want: user},
		{why: "roles do not count unless they are trusted", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X-User-Roles", "admin,controller"), want: user},
		{why: "trusted roles count, with blanks and any case", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X-User-Roles", "viewer, Admin ,CONTROLLER"), auth: trusting, want: models.Actor{Email: "ada@example.com", Admin: true, Controller: true}},
		{why: "unknown roles give nothing", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X-User-Roles", "administrator,,admin2"), auth: trusting, want: user},
		{why: "nobody", peer: gateway, header: headers(), code: v1.CodeAuthRequired},
		{why: "nobody, in as many words", peer: gateway, header: headers("X-User-Email", ""), code: v1.CodeAuthRequired},
		{why: "no address", peer: gateway, header: headers("X-User-Email", "ada"), code: v1.CodeInvalidEmail},
		{why: "a display name", peer: gateway, header: headers("X-User-Email", "Ada <ada@example.com>"), code: v1.CodeInvalidEmail},
		{why: "two, as a proxy may have joined them", peer: gateway, header: headers("X-User-Email", "ada@example.com, bob@example.com"), code: v1.CodeInvalidEmail},
		{why: "a NUL", peer: gateway, header: headers("X-User-Email", "a\x00@example.com"), code: v1.CodeInvalidEmail},
		{why: "twice", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X-User-Email", "bob@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "twice the same", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X-User-Email", "ada@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "underscores", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X_User_Email", "bob@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "one underscore, alone", peer: gateway, header: headers("X-User_email", "bob@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "dots", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X.user.email", "bob@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "no separators", peer: gateway, header: headers("X-User-Email", "ada@example.com", "Xuseremail", "bob@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "more separators", peer: gateway, header: headers("X-User-Email", "ada@example.com", "_x--User-Email_", "bob@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "another case, as HTTP/2 or a raw map may carry it", peer: gateway, header: headers("X-User-Email", "ada@example.com", "x-user-email", "bob@example.com"), code: v1.CodeAmbiguousIdentity},
		{why: "roles twice", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X-User-Roles", "a", "X-User-Roles", "admin"), code: v1.CodeAmbiguousIdentity},
		{why: "a look-alike of roles", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X_user_roles", "admin"), code: v1.CodeAmbiguousIdentity},
		{why: "the secret twice", peer: stranger, header: headers("X-User-Email", "ada@example.com", "X-Proxy-Secret", "a", "X-Proxy-Secret", "open sesame"), code: v1.CodeAmbiguousIdentity},
		{why: "headers that merely begin alike are others", peer: gateway, header: headers("X-User-Email", "ada@example.com", "X-User-Emails", "b", "X-User", "c", "X-User-Email2", "d"), want: user},
		{why: "switched off: a caller without a header", peer: stranger, header: headers(), auth: disabled, want: models.Actor{Email: "developer@localhost", Admin: true, Controller: true}},
		{why: "switched off: a caller with one is who they say", peer: stranger, header: headers("X-User-Email", "ada@example.com"), auth: disabled, want: user},
		{why: "switched off: an address is still one", peer: stranger, header: headers("X-User-Email", "ada"), auth: disabled, code: v1.CodeInvalidEmail},
	} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			auth := testAuth()
			if test.auth != nil {
				test.auth(&auth)
			}
			got, err := newGate(auth).actor(&http.Request{RemoteAddr: test.peer, Header: test.header})
			if err != nil || test.code != "" {
				if err == nil || models.CodeOf(err) != test.code {
					t.Fatalf("actor %+v, error %v; want code %q", got, err, test.code)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRequestID_IsTakenOnlyWhenItCanBeLogged(t *testing.T) {
	t.Parallel()
	long := make([]byte, maxRequestID)
	for i := range long {
		long[i] = 'a'
	}
	for _, test := range []struct {
		why   string
		given []string
		taken bool
	}{
		{"a word", []string{"req-1"}, true},
		{"any printable character", []string{"a!~{}\"\\"}, true},
		{"the longest", []string{string(long)}, true},
		{"one more", []string{string(long) + "a"}, false},
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"a blank", []string{"a b"}, false},
		{"a control character", []string{"a\tb"}, false},
		{"not ASCII", []string{"é"}, false},
		{"two", []string{"a", "b"}, false},
	} {
		got := requestID(http.Header{headerRequestID: test.given})
		if taken := len(test.given) > 0 && got == test.given[0]; taken != test.taken {
			t.Errorf("%s: %q gave %q", test.why, test.given, got)
		}
		if !isPrintable(got) {
			t.Errorf("%s: made %q", test.why, got)
		}
	}
}

func TestTraceparent_IsTakenOnlyWhenItIsOne(t *testing.T) {
	t.Parallel()
	const valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, test := range []struct {
		why   string
		given []string
		want  string
	}{
		{"as it is", []string{valid}, valid},
		{"a later version, with more behind", []string{"01" + valid[2:] + "-more"}, valid},
		{"none", nil, ""},
		{"two", []string{valid, valid}, ""},
		{"the version that is forbidden", []string{"ff" + valid[2:]}, ""},
		{"no trace", []string{"00-00000000000000000000000000000000-00f067aa0ba902b7-01"}, ""},
		{"no span", []string{"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"}, ""},
		{"too long for its version", []string{valid + "-more"}, ""},
		{"words", []string{"'; DROP TABLE outbox"}, ""},
	} {
		if got := traceparent(http.Header{"Traceparent": test.given}); got != test.want {
			t.Errorf("%s: got %q, want %q", test.why, got, test.want)
		}
	}
}

func TestWantsProblem_OnlyWhenItIsNamed(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"":                         false,
		"*/*":                      false,
		"application/json":         false,
		"application/problem+json": true,
		"Application/Problem+JSON; charset=utf-8":              true,
		"application/json, application/problem+json;q=0.5":     true,
		"application/json,application/problem+json; q=0":       false,
		"application/problem+xml, text/html;q=0.9":             false,
		"application/problem+json;q=x":                         true,
		"text/plain, application/problem+json , application/*": true,
	} {
		if got := wantsProblem(accept); got != want {
			t.Errorf("Accept %q: %v, want %v", accept, got, want)
		}
	}
}

func TestFail_RepeatsOnlyShortScalarsThatAreNoSecret(t *testing.T) {
	t.Parallel()
	x := &Exchange{secrets: models.NewSecrets([]string{"credentials.token"})}
	long := string(make([]byte, maxValue+1))
	for _, test := range []struct {
		field string
		value any
		want  any
	}{
		{"name", "orders", "orders"},
		{"limit", 7, 7},
		{"generation", int64(7), int64(7)},
		{"paused", true, true},
		{"ratio", 1.5, 1.5},
		{"name", long, nil},
		{"name", "\xff", nil},
		{"spec", map[string]any{"a": 1}, nil},
		{"labels", []any{1}, nil},
		{"spec.serviceAccountSigningKey", "secret", nil},
		{"spec.serviceAccountSigningKey.data[0]", "secret", nil},
		{"spec.credentials.token", "secret", nil},
		{"spec.credentials", "secret", nil},
		{"spec", "secret", nil},
	} {
		details := x.details([]models.Fault{{Field: test.field, Value: test.value}})
		if details.Value != test.want || details.Errors[0].Value != test.want {
			t.Errorf("%s: repeats %v, want %v", test.field, details.Value, test.want)
		}
	}
}

func TestShorten_CutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"abcdef", "abcd..."}, {"abcd", "abcd"}, {"abcé", "abc..."}, {"ab€d", "ab..."},
	} {
		if got := shorten(test.text, 4); got != test.want {
			t.Errorf("shorten(%q, 4) = %q, want %q", test.text, got, test.want)
		}
	}
}

func TestWithHead_GoesByGet(t *testing.T) {
	t.Parallel()
	for allow, want := range map[string]string{"GET": "GET, HEAD", "PUT, GET": "GET, HEAD, PUT", "POST": "POST"} {
		if got := withHead(allow); got != want {
			t.Errorf("withHead(%q) = %q, want %q", allow, got, want)
		}
	}
}
