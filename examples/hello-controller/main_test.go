package main

import (
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// TestHello runs the controller against a backend of the test's own.
func TestHello(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	b.Run(controller.Func(greet), controller.Options{Name: "hello", Platforms: []string{"gcp"}})
	c := b.Create("world", `{"platform":{"type":"gcp"},"greeting":"good morning"}`)
	b.WaitReady(c.ID)
	r := b.WaitReport(c.ID, "hello", func(v1.ControllerStatus) bool { return true })
	if string(r.Metadata) != `{"said":"good morning, world"}` {
		t.Errorf("it said %s", r.Metadata)
	}
}
