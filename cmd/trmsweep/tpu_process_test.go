package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/protocol"
)

// onFakeTPU is the training of short on the fake plugin.
func onFakeTPU(t *testing.T, more ...string) []string {
	t.Helper()
	return append(append(shortOf("e2_2_t2_n2", "xla:tpu", t.TempDir(), t.TempDir()), "--set", "forward_dtype=float32"), more...)
}

// TestDeviceThatFails: each way in which a device can fail ends the process with the code that says what to do next, and with its reason.
func TestDeviceThatFails(t *testing.T) {
	plugins := backendtest.FakePlugin(t, "tpu")
	for name, c := range map[string]struct {
		setting string
		code    int
		says    string
	}{
		"no memory for the program":  {"FAKE_PJRT_COMPILE=oom", protocol.ExitFinal, "smaller global_batch_size"},
		"no memory while it runs":    {"FAKE_PJRT_EXECUTE=oom", protocol.ExitFailed, "no memory left"},
		"not a number":               {"FAKE_PJRT_EXECUTE=nan", protocol.ExitFinal, "loss is not finite: step 1"},
		"an API that does not fit":   {"FAKE_PJRT_MAJOR=1", protocol.ExitFailed, "its PJRT API is 1.83"},
		"a crash inside the library": {"FAKE_PJRT_EXECUTE=crash", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program(t, []string{"PJRT_PLUGIN_LIBRARY_PATH=" + plugins, c.setting}, nil, onFakeTPU(t)...)
			code := p.end()
			last := p.events.all[len(p.events.all)-1]
			if code != c.code || !strings.Contains(last.Message, c.says) {
				t.Errorf("exit code %d, want %d; last line %+v\n%s", code, c.code, last, p.stderr.String())
			}
			if said := last.Type == protocol.EventError; said != (c.says != "") {
				t.Errorf("last line %+v", last)
			}
		})
	}
}

// TestBusyDevice: a device that another process holds is waited for, and then the process says who holds it; a notice ends the wait.
func TestBusyDevice(t *testing.T) {
	plugins := backendtest.FakePlugin(t, "tpu")
	file := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	env := []string{"PJRT_PLUGIN_LIBRARY_PATH=" + plugins, "FAKE_PJRT_LOCK=" + file}
	p := program(t, env, nil, onFakeTPU(t, "--device-patience", "1s")...)
	code, last := p.end(), p.events.all[len(p.events.all)-1]
	if code != protocol.ExitBusy || !strings.Contains(last.Message, "already in use by process") {
		t.Errorf("exit code %d, last line %+v", code, last)
	}
	told := false
	p = program(t, env, func(p *process, e protocol.Event) {
		if !told && e.State == protocol.StateCompiling {
			told = true
			p.signal(syscall.SIGTERM)
		}
	}, onFakeTPU(t, "--device-patience", "10m")...)
	if code := p.end(); code != protocol.ExitPreempted {
		t.Errorf("told to stop while it waits: exit code %d\n%s", code, p.stderr.String())
	}
}
