// Package e2e starts the real binaries on free ports and drives them as a user does.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trmsweep/internal/plugins"
)

// bin is the folder of the binaries under test: kept between runs, so that an
// unchanged one is not linked again.
var bin string

func TestMain(m *testing.M) {
	root, err := filepath.Abs("..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = filepath.Join(root, "bin", "e2e")
	for _, b := range []struct{ name, dir, pkg string }{
		{"tctl", root, "./cmd/tctl"},
		{"trmsweep", root, "./cmd/trmsweep"},
		{"devstack", filepath.Join(root, "cmd", "devstack"), "."},
	} {
		args := []string{"build", "-o", filepath.Join(bin, b.name)}
		if b.name == "devstack" {
			args = append(args, "-ldflags", "-s -w")
		}
		cmd := exec.Command("go", append(args, b.pkg)...)
		cmd.Dir = b.dir
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n", b.name, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// stack is a running devstack.
type stack struct {
	State    string
	Temporal string `json:"temporal"`
	UI       string `json:"ui"`
	GCS      string `json:"gcs"`
	PID      int    `json:"pid"`

	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan error
}

// startStack starts a devstack on the folder and returns when it is ready; it
// is gone when the test ends.
func startStack(t *testing.T, state string, args ...string) *stack {
	t.Helper()
	s := &stack{State: state, ended: make(chan error, 1)}
	s.cmd = exec.Command(filepath.Join(bin, "devstack"), append([]string{"--state", state, "--die-with-parent"}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	eventually(t, "the stack to be ready", func() error {
		select {
		case err := <-s.ended:
			t.Fatalf("devstack ended at start (%v):\n%s", err, s.output.String())
		default:
		}
		data, err := os.ReadFile(filepath.Join(state, "devstack.json"))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, s); err != nil {
			t.Fatalf("devstack.json is never half-written: %v in %q", err, data)
		}
		if s.PID != s.cmd.Process.Pid {
			return errors.New("devstack.json is of an earlier stack")
		}
		return nil
	})
	return s
}

// signal sends a signal and waits for the end; it returns the exit error.
func (s *stack) signal(t *testing.T, sig syscall.Signal) error {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		return err
	case <-time.After(deadline):
		t.Fatalf("devstack is still there after %v", sig)
		return nil
	}
}

// deadline ends a wait for what never comes; what takes long on a busy machine is waited for.
const deadline = 10 * time.Minute

// eventually polls until f succeeds.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	end := time.Now().Add(deadline)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited for %s: %v", what, err)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a binary of the project with a clean client environment.
func run(t *testing.T, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Env = cleanEnv()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// cleanEnv is the environment without settings of clients and of the project. XLA's plugins are found as here.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		ours := strings.HasPrefix(kv, "TRMSWEEP_") && !strings.HasPrefix(kv, plugins.DirEnv+"=")
		if !ours && !strings.HasPrefix(kv, "TEMPORAL_") && !strings.HasPrefix(kv, "STORAGE_EMULATOR_HOST=") {
			env = append(env, kv)
		}
	}
	return env
}

// mustRun is run for a command that has to succeed.
func mustRun(t *testing.T, name string, args ...string) string {
	t.Helper()
	r := run(t, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}
