package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trmsweep/internal/backend"
	"trmsweep/internal/backend/backendtest"
)

// opening is what a process says that opens xla:tpu.
type opening struct {
	Devices   int
	Error     string
	Busy      bool
	Seconds   float64
	Waited    []string // what Options.Waits heard
	Placement []string // of the process, after it has opened
}

// TestOpenTPU is the process: the first line of its output is an opening. With HOLD=1 it keeps the device until it is killed.
func TestOpenTPU(_ *testing.T) {
	if os.Getenv("OPEN_TPU") == "" {
		return // it is the child of other tests
	}
	patience, err := time.ParseDuration(os.Getenv("PATIENCE"))
	if err != nil {
		panic(err)
	}
	backend.SetTPU(os.Getenv("TPU_ROOT"), patience, 20*time.Millisecond)
	begin := time.Now()
	var waited []string
	waits := func(why error) { waited = append(waited, fmt.Sprint(why)) }
	_, info, err := backend.Open(context.Background(), "xla:tpu", backend.Options{Waits: waits})
	o := opening{Devices: info.Devices, Busy: errors.Is(err, backend.ErrBusy), Seconds: time.Since(begin).Seconds(), Waited: waited}
	if err != nil {
		o.Error = err.Error()
	}
	for _, name := range []string{"TPU_PROCESS_BOUNDS", "TPU_CHIPS_PER_PROCESS_BOUNDS", "TPU_VISIBLE_CHIPS"} {
		o.Placement = append(o.Placement, os.Getenv(name))
	}
	_ = json.NewEncoder(os.Stdout).Encode(o)
	if os.Getenv("HOLD") == "1" {
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	os.Exit(0)
}

// fakeHost is a folder with the device files of a v4 host.
func fakeHost(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	err := errors.Join(os.Mkdir(filepath.Join(root, "dev"), 0o700), os.Mkdir(filepath.Join(root, "tmp"), 0o700),
		os.Mkdir(filepath.Join(root, "proc"), 0o700))
	for _, name := range []string{"accel0", "accel1", "accel2", "accel3"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(root, "dev", name), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func tpuProcess(t *testing.T, plugins string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenTPU$")
	cmd.Env = append(os.Environ(), "OPEN_TPU=1", "PJRT_PLUGIN_LIBRARY_PATH="+plugins, "PATIENCE=30s")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func openTPU(t *testing.T, plugins string, env ...string) opening {
	t.Helper()
	out, err := tpuProcess(t, plugins, env...).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var o opening
	if err := json.NewDecoder(strings.NewReader(string(out))).Decode(&o); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return o
}

// TestTPUPlacement: the process takes the whole host and so waits for no other, unless the user has said otherwise.
func TestTPUPlacement(t *testing.T) {
	plugins, root := backendtest.FakePlugin(t, "tpu"), fakeHost(t)
	for name, c := range map[string]struct {
		env       []string
		placement string
		devices   int
		message   []string // of the error; empty: it opens
	}{
		"the whole host": {[]string{"FAKE_PJRT_SLICE=1", "FAKE_PJRT_DEVICES=4"}, "1,1,1 2,2,1 0,1,2,3", 4, nil},
		"eight devices":  {[]string{"FAKE_PJRT_DEVICES=8"}, "1,1,1 2,2,1 0,1,2,3", 8, nil},
		"one chip, by the worker": {[]string{"FAKE_PJRT_SLICE=1", "TPU_PROCESS_BOUNDS=1,1,1", "TPU_CHIPS_PER_PROCESS_BOUNDS=1,1,1",
			"TPU_VISIBLE_CHIPS=2"}, "1,1,1 1,1,1 2", 1, nil},
		"a slice, by the user": {[]string{"FAKE_PJRT_SLICE=1", "TPU_PROCESS_BOUNDS=2,2,2", "PATIENCE=300ms"}, "2,2,2  ", 0,
			[]string{"TPU_PROCESS_BOUNDS=2,2,2", "wait for 8 processes", "unset it"}},
		"no chip to be seen": {[]string{"FAKE_PJRT_SLICE=1", "TPU_ROOT=" + t.TempDir(), "PATIENCE=300ms"}, "  ", 0,
			[]string{"waits for the other hosts", "TPU_PROCESS_BOUNDS=1,1,1"}},
		"something set, nothing added":  {[]string{"TPU_VISIBLE_CHIPS=1"}, "  1", 1, nil},
		"a library that speaks of more": {[]string{"FAKE_PJRT_MINOR=200"}, "1,1,1 2,2,1 0,1,2,3", 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openTPU(t, plugins, append([]string{"TPU_ROOT=" + root}, c.env...)...)
			if got := strings.Join(o.Placement, " "); got != c.placement || o.Devices != c.devices {
				t.Errorf("placement %q, %d devices; want %q, %d (%s)", got, o.Devices, c.placement, c.devices, o.Error)
			}
			if (o.Error != "") != (c.message != nil) || o.Busy {
				t.Errorf("busy %v, error %q", o.Busy, o.Error)
			}
			for _, words := range c.message {
				if !strings.Contains(o.Error, words) {
					t.Errorf("%q is not in: %s", words, o.Error)
				}
			}
		})
	}
}

// TestTPUBusy: a device of another process is waited for; of one that has died too, until it is free; after a bound the error names the
// process.
func TestTPUBusy(t *testing.T) {
	plugins, root := backendtest.FakePlugin(t, "tpu"), fakeHost(t)
	lock := filepath.Join(t.TempDir(), "lock")
	env := []string{"TPU_ROOT=" + root, "FAKE_PJRT_LOCK=" + lock, "FAKE_PJRT_COOLING_MS=700"}
	owner := tpuProcess(t, plugins, append(env, "HOLD=1")...)
	keep, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var first opening
	if err := json.NewDecoder(out).Decode(&first); err != nil || first.Error != "" {
		t.Fatalf("the owner: %+v, %v", first, err)
	}
	refused := openTPU(t, plugins, append(env, "PATIENCE=400ms")...)
	if !refused.Busy || !strings.Contains(refused.Error, "already in use by process") || refused.Seconds < 0.3 {
		t.Errorf("while the owner lives: %+v", refused)
	}
	saidBusy := len(refused.Waited) == 2 && strings.Contains(refused.Waited[0], "already in use by process")
	if !saidBusy || refused.Waited[1] != "<nil>" {
		t.Errorf("while the owner lives it says that it waits for %q", refused.Waited)
	}
	waiting := make(chan opening, 1)
	go func() { waiting <- openTPU(t, plugins, env...) }()
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	if o := <-waiting; o.Error != "" || o.Seconds < 0.5 {
		t.Errorf("after kill -9 of the owner: %+v; want it open once the device has cooled", o)
	}
}

// TestTPUHeld: a process that has a chip's file open is named before libtpu is asked.
func TestTPUHeld(t *testing.T) {
	plugins, root := backendtest.FakePlugin(t, "tpu"), fakeHost(t)
	fd := filepath.Join(root, "proc", "4321", "fd")
	err := errors.Join(os.MkdirAll(fd, 0o700), os.Symlink(filepath.Join(root, "dev", "accel3"), filepath.Join(fd, "5")),
		os.WriteFile(filepath.Join(root, "proc", "4321", "cmdline"), []byte("python3\x00mine.py"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	all := openTPU(t, plugins, "TPU_ROOT="+root, "PATIENCE=100ms")
	if !all.Busy || !strings.Contains(all.Error, "process 4321 (python3 mine.py) holds") {
		t.Errorf("the whole host: %+v", all)
	}
	other := openTPU(t, plugins, "TPU_ROOT="+root, "TPU_VISIBLE_CHIPS=0")
	if other.Error != "" {
		t.Errorf("another chip: %+v", other)
	}
}
