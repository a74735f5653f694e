package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
)

// emulatorJar finds Google's Pub/Sub emulator, a component of the Cloud SDK, and Java.
func emulatorJar() (string, error) {
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

// emulate starts the emulator. It takes no socket, so the port is one that was free a moment ago; its shell script would
// leave Java behind.
func (p *pubSub) emulate(ctx context.Context) error {
	jar, err := emulatorJar()
	if err != nil {
		return err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return err
	}
	java, err := start(exec.Command("java", "-jar", jar, "--host=127.0.0.1", "--port="+port)) //nolint:noctx // it is ended by a signal
	if err != nil {
		return err
	}
	p.end = func() {
		java.signal(syscall.SIGKILL)
		<-java.done
	}
	return nil
}
