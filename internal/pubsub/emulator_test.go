//go:build emulator

package pubsub_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The fake is Google's, but it is not the service; the emulator is closer to it.
func TestContractOfTheEmulator(t *testing.T) {
	t.Parallel()
	checkContract(t, startEmulator(t))
}

// startEmulator runs Google's Pub/Sub emulator, a component of the Cloud SDK, on a free
// port until the test ends. It fails where the emulator or Java is missing: make
// test-emulator says how to install them.
func startEmulator(t *testing.T) (addr string) {
	t.Helper()
	gcloud, err := exec.LookPath("gcloud")
	must(t, err)
	gcloud, err = filepath.EvalSymlinks(gcloud)
	must(t, err)
	jars, err := filepath.Glob(filepath.Join(filepath.Dir(gcloud), "../platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar"))
	if err != nil || len(jars) != 1 {
		t.Fatalf("the emulator is not installed beside %s: %v, %v", gcloud, jars, err)
	}
	_, port, err := net.SplitHostPort(freeAddr(t))
	must(t, err)
	// Not its shell script, whose end would leave Java behind.
	java := exec.CommandContext(t.Context(), "java", "-jar", jars[0], "--host=127.0.0.1", "--port="+port)
	java.Stdout, java.Stderr = os.Stderr, os.Stderr
	must(t, java.Start())
	t.Cleanup(func() {
		_ = java.Process.Kill()
		_ = java.Wait()
	})
	return net.JoinHostPort("127.0.0.1", port)
}

// freeAddr is an address that was free a moment ago: the emulator takes no socket.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}
