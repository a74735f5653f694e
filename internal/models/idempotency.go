package models

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// KeyRetention is how long the answer to a call with an Idempotency-Key is kept.
const KeyRetention = 24 * time.Hour

// Key is an Idempotency-Key in its scope: the caller, as far as the answer depends on who that
// is, and the route.
type Key struct {
	Identity string
	Route    string
	Key      string
	// Request is the digest of the body, as a JSON value.
	Request Digest
}

// maxKey is the longest key, in bytes.
const maxKey = 255

// NewKey returns the key of a call, or INVALID_FIELD for one that is not printable ASCII of 1 to
// 255 characters.
func NewKey(by Actor, route, key string, body []byte) (Key, error) {
	printable := key != "" && len(key) <= maxKey
	for _, c := range []byte(key) {
		printable = printable && c >= ' ' && c <= '~'
	}
	if !printable {
		return Key{}, Invalid(v1.CodeInvalidField, Fault{Field: "Idempotency-Key", Reason: "must be 1 to 255 printable ASCII characters"})
	}
	return Key{
		Identity: by.Email + " " + strconv.FormatBool(by.SeesSecrets()), Route: route, Key: key, Request: digestOf(body),
	}, nil
}

// digestOf is the same for two texts of one JSON value; what is none is for its decoder to refuse.
func digestOf(body []byte) Digest {
	var value any
	if json.Unmarshal(body, &value) == nil {
		if text, err := json.Marshal(value); err == nil {
			body = text
		}
	}
	return sha256.Sum256(body)
}

// Answer is what a POST that created something was answered with.
type Answer struct {
	ETag     string
	Location string
	Body     []byte
}

// KeyReused returns the error for a key that came with another body before.
func KeyReused() error {
	return Invalid(v1.CodeIdempotencyKeyReused, Fault{Field: "Idempotency-Key", Reason: "was sent with another body before"})
}
