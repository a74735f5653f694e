//go:build faultpoint

package faultpoint

import (
	"syscall"
	"testing"
)

func TestOrders(t *testing.T) {
	t.Parallel()
	orders, err := parse("after-commit:kill@17,before-publish:stop@3")
	if err != nil || len(orders) != 2 {
		t.Fatalf("%v, %v", orders, err)
	}
	if o := orders[AfterCommit]; o.signal != syscall.SIGKILL || o.at != 17 {
		t.Errorf("%+v", o)
	}
	if o := orders[BeforePublish]; o.signal != syscall.SIGSTOP || o.at != 3 {
		t.Errorf("%+v", o)
	}
	for text, why := range map[string]string{
		"after-lunch:kill@1":   "there is no such point",
		"after-commit:nudge@1": "nor such an action",
		"after-commit:kill@0":  "passes are counted from one",
		"after-commit:kill":    "at every pass is at the first",
		"after-commit":         "it has to be said what",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%s is taken, though %s", text, why)
		}
	}
}
