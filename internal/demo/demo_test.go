package demo_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func TestEachPlatformIsProvisionedByItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	for spelled, platform := range map[string]string{"GCP": "gcp", "aws": "aws", "Azure": "azure"} {
		w.add("clusters/a-"+platform, spelled, 1)
		w.send(v1.ClusterCreated, "a-"+platform, spelled, 1)
		if diff := cmp.Diff(provisioned(platform, "a-"+platform, 1), w.stored()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spelled, diff)
		}
	}
	if diff := cmp.Diff(map[string]bool{"controller@system.local": true}, w.callers); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	both := provisioned("gcp", "c", 2)
	tests := map[string]struct {
		why        string
		own        []v1.StatusReport // stored before
		event      string
		generation int64
		absent     bool
		platform   string
		want       []v1.StatusReport
	}{
		"wake-up of what is done":  {"an equal report is a heartbeat and moves nothing", both, v1.ClusterReconcile, 2, false, "gcp", both[1:]},
		"work that was cut short":  {"the process died between its two reports", both[:1], v1.ClusterReconcile, 2, false, "gcp", both},
		"new generation":           {"what was built before is out of date", provisioned("gcp", "c", 1), v1.ClusterUpdated, 2, false, "gcp", both},
		"event behind the cluster": {"the cluster is read, so its generation counts", provisioned("gcp", "c", 1), v1.ClusterUpdated, 1, false, "gcp", both},
		"event behind the report":  {"something newer has been handled", both, v1.ClusterUpdated, 1, false, "gcp", nil},
		"deleted":                  {"there is nothing to tear down", both, v1.ClusterDeleted, 3, false, "gcp", nil},
		"gone":                     {"a 404 is the end of it: a nack would come back for ever", nil, v1.ClusterReconcile, 2, true, "gcp", nil},
		"unknown platform":         {"nobody looks after it", nil, v1.ClusterCreated, 2, false, "metal", nil},
		"platform has changed":     {"the spec is newer than the attribute", nil, v1.ClusterCreated, 2, false, "aws", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if !tt.absent {
				w.add("clusters/c", tt.platform, 2)
			}
			for _, r := range tt.own {
				w.store("clusters/c", r)
			}
			attribute := tt.platform
			if name == "platform has changed" {
				attribute = "gcp"
			}
			w.start()
			w.send(tt.event, "c", attribute, tt.generation)
			if diff := cmp.Diff(tt.want, w.stored()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
		})
	}
}

// The controller of azure says from the start that it is to be waited for, takes down what it has
// built when it is told to, by whatever event, and lets go then, once.
func TestAzureFinalizes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		own   []v1.StatusReport // stored before
		event string
		want  []v1.StatusReport
	}{
		"asked for":               {"the end was asked for", provisioned("azure", "c", 1), v1.ClusterDeleted, finalized("cluster", 2)},
		"never built":             {"there may be parts of it", nil, v1.ClusterDeleted, finalized("cluster", 2)},
		"cut short":               {"the process died between its two reports", finalized("cluster", 2)[:1], v1.ClusterDeleted, finalized("cluster", 2)},
		"said once":               {"it has let go already", finalized("cluster", 2), v1.ClusterDeleted, nil},
		"let go of another":       {"that was a generation before", finalized("cluster", 1), v1.ClusterDeleted, finalized("cluster", 2)},
		"an event before the end": {"nothing is built again", provisioned("azure", "c", 1), v1.ClusterUpdated, finalized("cluster", 2)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("clusters/c", "azure", 1)
			w.end("clusters/c")
			for _, r := range tt.own {
				w.store("clusters/c", r)
			}
			w.start()
			w.send(tt.event, "c", "azure", 2)
			if diff := cmp.Diff(tt.want, w.stored()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
		})
	}
}

// Who does not finalize builds nothing again that is being deleted.
func TestNobodyBuildsWhatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("clusters/c", "gcp", 1)
	w.end("clusters/c")
	w.start()
	for _, event := range []string{v1.ClusterCreated, v1.ClusterReconcile, v1.ClusterDeleted} {
		w.send(event, "c", "gcp", 1)
	}
	if got := w.stored(); got != nil {
		t.Errorf("reports %+v", got)
	}
}

// A node pool is that of the platform it names, or of its cluster's, and comes and goes as a cluster does.
func TestNodePools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("clusters/"+home, "Azure", 1)
	w.add("nodepools/plain", "", 3)
	w.add("nodepools/other", "aws", 1)
	w.start()
	again := poolProvisioned("azure", 3)[1:]
	again[0].Metadata = v1.Object("{}") // as the API answers what was not reported
	for _, step := range []struct {
		event, id, platform string
		generation          int64
		want                []v1.StatusReport
	}{
		{v1.NodePoolCreated, "plain", "", 3, poolProvisioned("azure", 3)},
		{v1.NodePoolReconcile, "plain", "", 3, again},
		{v1.NodePoolCreated, "other", "aws", 1, poolProvisioned("aws", 1)},
		{v1.NodePoolDeleted, "other", "aws", 2, nil},
		{v1.NodePoolUpdated, "absent", "gcp", 1, nil},
	} {
		w.send(step.event, step.id, step.platform, step.generation)
		if diff := cmp.Diff(step.want, w.stored()); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", step.event, step.id, diff)
		}
	}
	w.end("nodepools/plain")
	w.send(v1.NodePoolDeleted, "plain", "", 4)
	if diff := cmp.Diff(finalized("node pool", 4), w.stored()); diff != "" {
		t.Errorf("its end (-want +got):\n%s", diff)
	}
}

// TestReportOutlivesAnOutage also shows that an event is let go only once its report is stored.
func TestReportOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("clusters/c", "gcp", 1)
	w.fail(http.MethodGet, 1)
	w.fail(http.MethodPut, ever)
	w.start()
	m := w.publish(v1.ClusterCreated, "c", "gcp", 1)
	w.until("the others' acknowledgement", func() bool { return w.acks(m) == 2 })
	w.until("a second try to report", func() bool { return w.failuresLeft(http.MethodPut) <= ever-2 })
	if n := w.acks(m); n != 2 {
		t.Errorf("the event has %d acknowledgements while its report is not stored", n)
	}
	w.fail(http.MethodPut, 0)
	w.until("acknowledgement by all", func() bool { return w.acks(m) == 3 })
	if diff := cmp.Diff(provisioned("gcp", "c", 1), w.stored()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

// TestRunEndsInTheMiddleOfItsWork has an API that never answers well.
func TestRunEndsInTheMiddleOfItsWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("clusters/c", "gcp", 1)
	w.fail(http.MethodGet, ever)
	w.start()
	w.publish(v1.ClusterCreated, "c", "gcp", 1)
	w.until("the first call", func() bool { return w.failuresLeft(http.MethodGet) < ever })
	// What start leaves to the end of the test asserts the rest.
}
