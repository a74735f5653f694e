package models

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

const tokenID = "01936b5e-8c4a-7c3e-9d5f-2b8f0a6c1e47"

// signed is what a token is valid for.
type signed struct {
	key   TokenKey
	kind  Kind
	scope string
	query ListQuery
}

func (b signed) sign(p Position) string { return b.key.Sign(b.kind, b.scope, b.query, p) }

func (b signed) position(token string) (Position, error) {
	return b.key.Position(b.kind, b.scope, b.query, token)
}

func anyBound(t *rapid.T) signed {
	maybe := func(name, value string) string {
		return rapid.SampledFrom([]string{"", value}).Draw(t, name)
	}
	q := ListQuery{
		Limit: rapid.IntRange(1, 100).Draw(t, "limit"), OrderBy: rapid.SampledFrom(Orders()).Draw(t, "order"),
		Phase: v1.Phase(maybe("phase", "Ready")), Platform: maybe("platform", "gcp"), Name: maybe("filter", "orders"),
		ClusterID: maybe("cluster", tokenID), CreatedBy: maybe("creator", "ada@example.com"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "terms") {
		q.Labels = append(q.Labels, Requirement{
			Key:    rapid.SampledFrom([]string{"env", "team"}).Draw(t, "label"),
			Op:     rapid.SampledFrom([]Operator{OpIn, OpNotIn, OpExists}).Draw(t, "op"),
			Values: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", ""}), 0, 3).Draw(t, "values"),
		})
	}
	return signed{
		key:  TokenKey(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")),
		kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), scope: maybe("scope", "ada@example.com"), query: q,
	}
}

// anyPosition is one as the database gives it: to the microsecond.
func anyPosition(t *rapid.T, o Order) Position {
	p := Position{ID: rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).Draw(t, "id")}
	if o.Field() == "name" {
		p.Name = rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?`).Draw(t, "name")
	} else {
		p.At = time.UnixMicro(rapid.Int64Range(-1<<53, 1<<53).Draw(t, "micros")).UTC()
	}
	return p
}

// TestPageTokens_RoundTrip: the position comes back to the microsecond, at any limit, and by a
// selector in another spelling.
func TestPageTokens_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := anyBound(t)
		want := anyPosition(t, b.query.OrderBy)
		token := b.sign(want)
		if strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%q needs escapes in a URL", token)
		}
		b.query.Limit, b.query.ExactTotal = rapid.IntRange(1, 100).Draw(t, "limit"), true
		b.query.Labels = respelled(t, b.query.Labels)
		got, err := b.position(token)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v, -signed +read:\n%s", err, diff)
		}
	})
}

// respelled returns a selector that means the same.
func respelled(t *rapid.T, selector []Requirement) []Requirement {
	if len(selector) == 0 {
		return nil
	}
	var other []Requirement
	for _, r := range rapid.Permutation(append(slices.Clone(selector), selector[0])).Draw(t, "terms") {
		if len(r.Values) > 0 {
			r.Values = rapid.Permutation(append(slices.Clone(r.Values), r.Values[0])).Draw(t, "values")
		}
		other = append(other, r)
	}
	return other
}

// TestPageTokens_AreRefusedElsewhere: a token is good for the list that it is of, and for no other.
func TestPageTokens_AreRefusedElsewhere(t *testing.T) {
	t.Parallel()
	base := signed{
		key: TokenKey(strings.Repeat("k", 32)), kind: KindCluster, scope: "ada@example.com",
		query: ListQuery{OrderBy: NewestFirst, Labels: []Requirement{{Key: "env", Op: OpIn, Values: []string{"a", "b"}}}},
	}
	token := base.sign(Position{At: time.UnixMicro(1).UTC(), ID: tokenID})
	if _, err := base.position(token); err != nil {
		t.Fatal(err)
	}
	for why, change := range map[string]func(*signed){
		"another key":           func(b *signed) { b.key = TokenKey(strings.Repeat("l", 32)) },
		"another kind":          func(b *signed) { b.kind = KindNodePool },
		"another caller":        func(b *signed) { b.scope = "bob@example.com" },
		"a caller who sees all": func(b *signed) { b.scope = "" },
		"the other direction":   func(b *signed) { b.query.OrderBy = "created_at" },
		"another field":         func(b *signed) { b.query.OrderBy = "-updated_at" },
		"a phase":               func(b *signed) { b.query.Phase = v1.PhaseReady },
		"a platform":            func(b *signed) { b.query.Platform = "gcp" },
		"a name":                func(b *signed) { b.query.Name = "gcp" },
		"a cluster":             func(b *signed) { b.query.ClusterID = tokenID },
		"a creator":             func(b *signed) { b.query.CreatedBy = "ada@example.com" },
		"no labels":             func(b *signed) { b.query.Labels = nil },
		"another label":         func(b *signed) { b.query.Labels[0].Key = "team" },
		"another operator":      func(b *signed) { b.query.Labels[0].Op = OpNotIn },
		"other values":          func(b *signed) { b.query.Labels[0].Values = []string{"a,b"} },
		"a term more": func(b *signed) {
			b.query.Labels = append(b.query.Labels, Requirement{Key: "x", Op: OpExists})
		},
		"a filter under another name": func(b *signed) { b.query.Platform, b.query.Labels = "env", nil },
	} {
		other := base
		other.query.Labels = slices.Clone(base.query.Labels)
		change(&other)
		if _, err := other.position(token); CodeOf(err) != v1.CodeInvalidPageToken {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// TestPageTokens_TamperedAreRefused: every bit counts, also those that the encoding does not use.
func TestPageTokens_TamperedAreRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := anyBound(t)
		token := []byte(b.sign(anyPosition(t, b.query.OrderBy)))
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		switch rapid.SampledFrom([]string{"flip", "cut", "add", "insert"}).Draw(t, "how") {
		case "flip":
			token[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "cut":
			token = token[:at]
		case "add":
			token = append(token, rapid.SampledFrom([]byte("A=\n ")).Draw(t, "more"))
		case "insert":
			token = slices.Insert(token, at, rapid.SampledFrom([]byte("A\n\r ")).Draw(t, "more"))
		}
		if p, err := b.position(string(token)); CodeOf(err) != v1.CodeInvalidPageToken {
			t.Fatalf("%q is taken for %+v, %v", token, p, err)
		}
	})
}

// FuzzPageToken: no text is taken but the one that is signed.
func FuzzPageToken(f *testing.F) {
	b := signed{key: TokenKey(strings.Repeat("k", 32)), kind: KindCluster, query: ListQuery{OrderBy: NewestFirst}}
	token := b.sign(Position{At: time.UnixMicro(1 << 50), ID: tokenID})
	for _, seed := range []string{
		token, token[1:], token + "=", token[:len(token)-1], "\n" + token, "", "AAAA", strings.Repeat("A", 200),
		base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size+36)), base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size+35)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := b.position(text)
		if err == nil && b.sign(p) != text {
			t.Errorf("%q is taken for %+v", text, p)
		}
		if err != nil && CodeOf(err) != v1.CodeInvalidPageToken {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// TestOrders: what is not an order is refused, with those that are.
func TestOrders(t *testing.T) {
	t.Parallel()
	by := Actor{Email: "ada@example.com"}
	for _, o := range append(Orders(), "") {
		q, err := ListQuery{OrderBy: o}.Scoped(by)
		if want := map[bool]Order{true: NewestFirst, false: o}[o == ""]; err != nil || q.OrderBy != want {
			t.Errorf("%q: %q, %v", o, q.OrderBy, err)
		}
	}
	for _, o := range []Order{"id", "-", "--name", "Name", "name,id", "+name", "phase"} {
		_, err := ListQuery{OrderBy: o}.Scoped(by)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != v1.CodeInvalidQuery || e.Faults[0].Field != "order_by" || len(e.Faults[0].Allowed) != 6 {
			t.Errorf("%q: %v", o, err)
		}
	}
	r := &Resource{ID: tokenID, Name: "n", CreatedAt: time.UnixMicro(1), UpdatedAt: time.UnixMicro(2)}
	for o, want := range map[Order]Position{
		"name": {Name: "n", ID: tokenID}, "-created_at": {At: time.UnixMicro(1), ID: tokenID}, "updated_at": {At: time.UnixMicro(2), ID: tokenID},
	} {
		if got := o.PositionOf(r); got != want {
			t.Errorf("%s: %+v", o, got)
		}
	}
}
