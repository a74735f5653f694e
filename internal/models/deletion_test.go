package models

import (
	"testing"
	"time"
)

// TestDeletionAnswer names what is waited for, and nothing where nothing is known of.
func TestDeletionAnswer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		holders     []string
		pools, gone bool
		want        string
	}{
		{[]string{"dns", "net"}, true, false, "the cluster is being deleted; waiting for its node pools, dns, net"},
		{[]string{"dns"}, false, false, "the cluster is being deleted; waiting for dns"},
		{nil, true, false, "the cluster is being deleted; waiting for its node pools"},
		{nil, false, false, "the cluster is being deleted"}, // The last holder is retired, and the next pass ends it.
		{nil, false, true, "the cluster is deleted"},
	} {
		r := &Resource{Kind: KindCluster, Holders: row.holders, DeletionTimestamp: &time.Time{}}
		if got := DeletionAnswer(r, row.pools, row.gone).Message; got != row.want {
			t.Errorf("holders %v, node pools %t, gone %t: %q, want %q", row.holders, row.pools, row.gone, got, row.want)
		}
	}
}
