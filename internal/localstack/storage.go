package localstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"syscall"
	"time"

	"trmsweep/internal/endpoint"
)

// Storage is the address of the storage emulator on the state folder: the
// running one, or one that lives until it is closed.
func Storage(ctx context.Context, state string, stderr io.Writer) (string, io.Closer, error) {
	if s, err := endpoint.ReadStack(state); err == nil && Answers(s.GCS) {
		return s.GCS, io.NopCloser(nil), nil
	}
	_, devstack, err := programs("storage of " + state)
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, devstack, "--state", state, "--storage-only", "--die-with-parent")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("storage of %s: %w", state, err)
	}
	p := &storageProcess{cmd}
	var s endpoint.Stack
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		return "", nil, errors.Join(fmt.Errorf("storage of %s did not start: %w", state, err), p.Close())
	}
	return s.GCS, p, nil
}

// Answers reports whether somebody listens at an address such as http://127.0.0.1:1234.
func Answers(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	c, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// storageProcess is a storage emulator of our own.
type storageProcess struct{ cmd *exec.Cmd }

func (p *storageProcess) Close() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("storage emulator: %w", err)
	}
	return nil
}
