package outbox_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
)

// message is what a subscriber sees of an event.
type message struct{ Topic, Key, Type, Cluster, NodePool string }

// messages lists what is on record, by its attributes; what is in the data is the same.
func (w *world) messages(t *testing.T) []message {
	t.Helper()
	var list []message
	for _, m := range w.server.fake.Messages() {
		at := m.Attributes
		list = append(list, message{m.Topic, m.OrderingKey, at["event_type"], at["cluster_id"], at["nodepool_id"]})
		var data v1.Event
		must(t, json.Unmarshal(m.Data, &data))
		if data.Type != at["event_type"] || data.ClusterID != at["cluster_id"] || data.NodePoolID != at["nodepool_id"] {
			t.Errorf("attributes %v of %s", at, m.Data)
		}
	}
	return list
}

// The events of a node pool are on a topic of their own, under the key of its cluster, in order.
func TestEventsOfNodePoolsAreOnTheirTopic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.relay(t, outbox.Options{})
	cluster := w.create(t)
	w.drive(t, r)

	pools := &world{url: w.url, db: w.db.Resources(models.KindNodePool), server: w.server}
	pool := newCluster()
	pool.ClusterID = cluster.ID
	_, err := pools.db.Insert(t.Context(), pool, time.Minute, change(v1.NodePoolCreated))
	must(t, err)
	must(t, pools.db.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
		c, err := tx.Lock(ctx, pool.ID, "")
		if err != nil {
			return err
		}
		_, err = tx.Update(ctx, c, models.Change{Spec: true}, time.Minute, change(v1.NodePoolUpdated))
		return err
	}))
	pools.drive(t, r)
	_, err = pools.db.WakeNow(t.Context(), pool.ID, "", models.ManualWake(newCluster().ID, models.KindNodePool, models.Actor{Email: "a@example.com"}))
	must(t, err)
	pools.drive(t, r)
	must(t, pools.db.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.Delete(ctx, pool.ID, time.Minute, change(v1.NodePoolDeleted))
		return err
	}))
	pools.drive(t, r)
	w.verify(t)

	want := []message{{topicName(topic), cluster.ID, v1.ClusterCreated, cluster.ID, ""}}
	for _, eventType := range []string{v1.NodePoolCreated, v1.NodePoolUpdated, v1.NodePoolReconcile, v1.NodePoolDeleted} {
		want = append(want, message{topicName(poolTopic), cluster.ID, eventType, cluster.ID, pool.ID})
	}
	if diff := cmp.Diff(want, w.messages(t)); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
}
