package reconciliation_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// stalledReplicaEnv makes the test binary a replica that stops in the middle of a pass;
// it holds the URL of the database.
const stalledReplicaEnv = "CLS_TEST_STALLED_REPLICA"

// share is how many due clusters the replica that is killed has claimed.
const share = 10

// stall claims a share of the due clusters, says so, and goes no further.
func stall(url string) error {
	ctx := context.Background()
	db, err := database.Open(ctx, database.Options{URL: url})
	if err != nil {
		return err
	}
	return db.Resources(models.KindCluster).InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		due, err := tx.ClaimDue(ctx, 0, share)
		if err != nil {
			return err
		}
		fmt.Printf("claimed %d\n", len(due))
		_, err = bufio.NewReader(os.Stdin).ReadString('\n')
		return err
	})
}

// startStalled starts such a replica in a process of its own and returns once it has claimed its share.
func startStalled(t *testing.T, url string) *os.Process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), stalledReplicaEnv+"="+url)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // never written to
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // ends a stopped process too
		_ = cmd.Wait()
		_ = stdin.Close()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if want := fmt.Sprintf("claimed %d", share); strings.TrimSpace(line) != want {
		t.Fatalf("the replica says %q, %v; want %q", line, err, want)
	}
	return cmd.Process
}

// TestTheShareOfADeadReplicaIsTakenUp has a replica die in the middle of its pass.
func TestTheShareOfADeadReplicaIsTakenUp(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		signal syscall.Signal
	}{
		"killed":  {"the server sees its connection close", syscall.SIGKILL},
		"stopped": {"the connection stands; the server ends a transaction that idles for 5 s", syscall.SIGSTOP},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1)
			f.addStable(t, "c", 100)
			f.makeDue(t)
			dead := startStalled(t, f.url)

			if n := f.replicas[0].pass(t); n != 100-share {
				t.Fatalf("beside the replica that holds %d of 100, %d were woken; want all the others", share, n)
			}
			must(t, dead.Signal(tt.signal))
			died := time.Now()
			for woken := 0; woken < share; woken += f.replicas[0].pass(t) {
				if time.Since(died) > patience {
					t.Fatalf("after %v only %d of its %d clusters are woken (%s)", time.Since(died), woken, share, tt.why)
				}
				<-time.After(50 * time.Millisecond)
			}
			t.Logf("taken up after %v", time.Since(died))
			if events := f.takeEvents(t); len(events) != 100 {
				t.Errorf("%d events of 100 due times", len(events))
			}
		})
	}
}
