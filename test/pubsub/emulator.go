package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// Emulator finds Google's Pub/Sub emulator, a component of the Cloud SDK, and Java. An error says what is not installed.
func Emulator() (jar string, err error) {
	gcloud, err := exec.LookPath("gcloud")
	if err == nil {
		gcloud, err = filepath.EvalSymlinks(gcloud)
	}
	if err != nil {
		return "", fmt.Errorf("find the Cloud SDK: %w", err)
	}
	jars, err := filepath.Glob(filepath.Join(filepath.Dir(gcloud), "../platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar"))
	if err != nil || len(jars) != 1 {
		return "", errors.New("no Pub/Sub emulator of Google's is installed: gcloud components install pubsub-emulator")
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("find Java, for Google's Pub/Sub emulator: %w", err)
	}
	return jars[0], nil
}

// StartEmulator starts the emulator on loopback and returns its address and how to end it; it dies with this process. It
// takes no socket, so the port is one that was free a moment ago; its shell script would leave Java behind.
func StartEmulator(ctx context.Context) (address string, end func(), err error) {
	jar, err := Emulator()
	if err != nil {
		return "", nil, err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("find a free port for the emulator: %w", err)
	}
	address = l.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err := errors.Join(err, l.Close()); err != nil {
		return "", nil, fmt.Errorf("find a free port for the emulator: %w", err)
	}
	java := exec.Command("java", "-jar", jar, "--host=127.0.0.1", "--port="+port) //nolint:noctx // its end is the caller's
	done, err := dev.StartChild(java, syscall.SIGKILL)
	if err != nil {
		return "", nil, fmt.Errorf("start the emulator: %w", err)
	}
	return address, func() {
		_ = java.Process.Kill() // It may have ended by itself.
		<-done
	}, nil
}
