package models

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Position is a place in a list: a resource, by what the list is ordered by.
type Position struct {
	// At is the time in an order of times, to the microsecond; Name the name in an order of names.
	At   time.Time
	Name string
	ID   string
}

// PositionOf returns where a resource stands in the order.
func (o Order) PositionOf(r *Resource) Position {
	switch o.Field() {
	case "name":
		return Position{Name: r.Name, ID: r.ID}
	case "updated_at":
		return Position{At: r.UpdatedAt, ID: r.ID}
	default:
		return Position{At: r.CreatedAt, ID: r.ID}
	}
}

// A TokenKey signs the tokens of pages.
type TokenKey []byte

// idLength is the length of an id as text.
const idLength = 36

// Sign returns the token of the page that begins behind a position. It holds for the kind, for
// those of this scope (see [Actor.Owner]), and for a query that asks for the same resources in the
// same order: the limit is free. The query must be [ListQuery.Scoped].
func (k TokenKey) Sign(kind Kind, scope string, q ListQuery, p Position) string {
	value := p.Name
	if q.OrderBy.Field() != "name" {
		value = strconv.FormatInt(p.At.UnixMicro(), 10)
	}
	return k.seal(ofList(kind, scope, q), value+p.ID)
}

// Position returns what a token was signed for. Any text that is not the token of just this list
// is INVALID_PAGE_TOKEN.
func (k TokenKey) Position(kind Kind, scope string, q ListQuery, token string) (Position, error) {
	payload, err := k.open(ofList(kind, scope, q), token)
	if err != nil {
		return Position{}, err
	}
	if len(payload) < idLength {
		return Position{}, invalidToken()
	}
	value, id := payload[:len(payload)-idLength], payload[len(payload)-idLength:]
	if q.OrderBy.Field() == "name" {
		return Position{Name: value, ID: id}, nil
	}
	micros, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return Position{}, invalidToken()
	}
	return Position{At: time.UnixMicro(micros).UTC(), ID: id}, nil
}

// NoSuchPage is what is wrong with any token that is refused; which of it, only we know.
const NoSuchPage = "is not one that this list gave you: with it go the same filters and the same order"

func invalidToken() error {
	return Invalid(v1.CodeInvalidPageToken, Fault{Field: "page_token", Reason: NoSuchPage})
}

// ofList is what the token of a page of a list must not be used without. The first number is the
// version: one that covers or means something else is another.
func ofList(kind Kind, scope string, q ListQuery) []any {
	return []any{1, kind, scope, q.OrderBy, q.Phase, q.Platform, q.Name, q.ClusterID, q.CreatedBy, oneSpelling(q.Labels)}
}

// seal returns a payload as a token that holds for what it is bound to.
func (k TokenKey) seal(bound []any, payload string) string {
	return base64.RawURLEncoding.EncodeToString(append(k.mac(bound, payload), payload...))
}

// open returns the payload of a token, or INVALID_PAGE_TOKEN.
func (k TokenKey) open(bound []any, token string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	// The decoder skips line breaks and unused bits: of the spellings of a token only its own passes.
	if err != nil || len(text) < sha256.Size || base64.RawURLEncoding.EncodeToString(text) != token {
		return "", invalidToken()
	}
	mac, payload := text[:sha256.Size], string(text[sha256.Size:])
	if !hmac.Equal(mac, k.mac(bound, payload)) {
		return "", invalidToken()
	}
	return payload, nil
}

// mac is the signature of a payload, and of what it is bound to.
func (k TokenKey) mac(bound []any, payload string) []byte {
	text, err := json.Marshal(bound)
	if err != nil { // Texts and a number only.
		panic("models: encode what a token is bound to: " + err.Error())
	}
	h := hmac.New(sha256.New, k)
	h.Write(text)
	h.Write([]byte(payload)) // What is bound ends by itself: no other pair gives the same bytes.
	return h.Sum(nil)
}

// oneSpelling returns one spelling of all selectors that only differ in the order of their terms and
// values, or say one twice.
func oneSpelling(selector []Requirement) []Requirement {
	var terms []Requirement
	for _, r := range selector {
		r.Values = slices.Compact(slices.Sorted(slices.Values(r.Values)))
		terms = append(terms, r)
	}
	compare := func(a, b Requirement) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(string(a.Op), string(b.Op)), slices.Compare(a.Values, b.Values))
	}
	slices.SortFunc(terms, compare)
	return slices.CompactFunc(terms, func(a, b Requirement) bool { return compare(a, b) == 0 })
}
