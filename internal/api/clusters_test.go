package api_test

import (
	"net/http"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func TestClusters_LiveAndDie(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	created := b.do(call{method: http.MethodPost, path: clusters, as: ada, body: `{"name":"orders","labels":{"env":"prod"},"spec":{"platform":{"type":"GCP"},"n":1.50}}`}).is(http.StatusCreated)
	c := into[v1.Cluster](created)
	if got, want := created.header.Get("Location"), clusters+"/"+c.ID; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	got := b.get(ada, clusters+"/"+c.ID).is(http.StatusOK)
	t.Log(got.body, got.header)
	list := b.get(ada, clusters).is(http.StatusOK)
	t.Log(list.body)
}
