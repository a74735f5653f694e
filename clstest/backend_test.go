package clstest_test

import (
	"testing"

	"github.com/cls-backend/cls-backend/clstest"
)

// TestOneClientForEachIdentity: whoever asks a thousand times opens no thousand connections.
func TestOneClientForEachIdentity(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	user := b.Client(clstest.User)
	if b.Client(clstest.User) != user || b.For(t).Client(clstest.User) != user {
		t.Error("a second client of the same identity")
	}
	if b.Client(clstest.Admin) == user {
		t.Error("two identities have one client")
	}
}
