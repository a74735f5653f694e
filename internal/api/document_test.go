package api_test

import (
	"flag"
	"net/http"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write openapi.yaml anew")

func TestDocument_IsTheCommittedOne(t *testing.T) {
	t.Parallel()
	b := newBackendOn(t, nil, nil)
	got := b.get("", "/openapi.yaml").is(http.StatusOK).body
	if *update {
		if err := os.WriteFile("openapi.yaml", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the code makes another document; run make generate (-committed +code):\n%s", diff)
	}
}
