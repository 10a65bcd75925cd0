package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// up starts `trmsweep up` on a folder and returns when its stack answers.
func up(t *testing.T, state string) (cmd *exec.Cmd, server int) {
	t.Helper()
	cmd = exec.Command(filepath.Join(bin, "trmsweep"), "up", "--state", state)
	cmd.Env = cleanEnv()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "the stack of up", func() error {
		var s stack
		data, err := os.ReadFile(filepath.Join(state, "devstack.json"))
		if err == nil {
			err = json.Unmarshal(data, &s)
		}
		server = s.PID
		return err
	})
	return cmd, server
}

func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d to be gone", pid), func() error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("still there: %v", err)
		}
		return nil
	})
}

// `down` stops the `up` of its folder and nothing else, and one `up` keeps a folder.
func TestUpAndDown(t *testing.T) {
	state := t.TempDir()
	first, server := up(t, state)
	if r := run(t, "trmsweep", "up", "--state", state); r.code != 1 || !strings.Contains(r.stderr, "a stack already runs on "+state) {
		t.Errorf("a second up: exit code %d: %s", r.code, r.stderr)
	}
	if out := mustRun(t, "trmsweep", "down", "--state", state); !strings.Contains(out, "stopped the stack on "+state) {
		t.Errorf("down: %s", out)
	}
	gone(t, server)
	if err := first.Wait(); err != nil {
		t.Errorf("up that was asked to stop: %v", err)
	}

	killed, server := up(t, state)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	if _, err := os.Stat(filepath.Join(state, "up.pid")); err != nil {
		t.Error(err) // else this test shows nothing
	}
	gone(t, server) // with its parent
	if out := mustRun(t, "trmsweep", "down", "--state", state); !strings.Contains(out, "nothing runs on "+state) {
		t.Errorf("down after kill -9: %s", out)
	}
}
