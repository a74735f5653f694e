package main

import (
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
)

// TestPipeline has each stage wait for the one before, and the failure pass.
func TestPipeline(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	for _, s := range stages() {
		b.Run(s.reconcile, s.options)
	}
	c := b.Create("one", `{}`)
	b.WaitReady(c.ID)
	r := b.WaitReport(c.ID, "dns", func(v1.ControllerStatus) bool { return true })
	if r.Conditions[0].Message != "one.example.com is 10.0.0.1" {
		t.Errorf("dns reports %+v", r)
	}
	failed := false
	for e, err := range b.Client(clstest.User).ClusterEvents(t.Context(), c.ID, client.PageOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		failed = failed || e.ControllerName == "control-plane" && e.ErrorType == v1.ErrorTransient
	}
	if !failed {
		t.Error("the control plane never failed")
	}
}
