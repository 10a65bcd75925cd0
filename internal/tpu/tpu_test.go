package tpu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIsolation(t *testing.T) {
	for name, c := range map[string]struct {
		chips, chip int
		want        string
	}{
		"a v4 host": {4, AllChips, "TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=2,2,1 TPU_VISIBLE_CHIPS=0,1,2,3"},
		"a v5e host": {8, AllChips,
			"TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=2,4,1 TPU_VISIBLE_CHIPS=0,1,2,3,4,5,6,7"},
		"a host of one chip":        {1, AllChips, "TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=1,1,1 TPU_VISIBLE_CHIPS=0"},
		"no chip":                   {0, AllChips, ""},
		"a number that no host has": {3, AllChips, ""},
		"the first chip": {4, 0,
			"TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=1,1,1 TPU_VISIBLE_CHIPS=0 " +
				"TPU_PROCESS_ADDRESSES=localhost:8476 TPU_PROCESS_PORT=8476 CLOUD_TPU_TASK_ID=0"},
		"the last chip": {4, 3,
			"TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=1,1,1 TPU_VISIBLE_CHIPS=3 " +
				"TPU_PROCESS_ADDRESSES=localhost:8479 TPU_PROCESS_PORT=8479 CLOUD_TPU_TASK_ID=0"},
		"a chip that the host lacks": {4, 4, ""},
		"one chip of a host with one": {1, 0,
			"TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=1,1,1 TPU_VISIBLE_CHIPS=0 " +
				"TPU_PROCESS_ADDRESSES=localhost:8476 TPU_PROCESS_PORT=8476 CLOUD_TPU_TASK_ID=0"},
	} {
		if got := strings.Join(Isolation(c.chips, c.chip), " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestPlaced: what a user has set is seen, under old names too, and read.
func TestPlaced(t *testing.T) {
	for name, c := range map[string]struct {
		env       []string
		placed    int
		chip, num int
	}{
		"nothing":        {nil, 0, AllChips, 1},
		"other things":   {[]string{"TPU_LIBRARY_PATH=/x"}, 0, AllChips, 1},
		"whole host":     {Isolation(4, AllChips), 3, AllChips, 1},
		"one chip":       {Isolation(4, 2), 3, 2, 1},
		"old names":      {[]string{"TPU_VISIBLE_DEVICES=1", "TPU_HOST_BOUNDS=2,2,2"}, 2, 1, 8},
		"a slice":        {[]string{"TPU_PROCESS_BOUNDS=2,2,2"}, 1, AllChips, 8},
		"cannot be read": {[]string{"TPU_PROCESS_BOUNDS=two"}, 1, AllChips, 1},
		"zero":           {[]string{"TPU_PROCESS_BOUNDS=0,1,1"}, 1, AllChips, 1},
	} {
		lookup := func(name string) (string, bool) {
			for _, pair := range c.env {
				if k, v, _ := strings.Cut(pair, "="); k == name {
					return v, true
				}
			}
			return "", false
		}
		type placement struct{ Variables, Chip, Processes int }
		got := placement{len(Placed(lookup)), VisibleChip(lookup), Processes(lookup)}
		if diff := cmp.Diff(placement{c.placed, c.chip, c.num}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// host makes a machine with device files and processes in a folder.
func host(t *testing.T, devices ...string) Host {
	t.Helper()
	h := Host{Root: t.TempDir()}
	for _, dir := range []string{"dev/vfio", "proc", "tmp"} {
		if err := os.MkdirAll(h.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range devices {
		if err := os.WriteFile(h.path("dev", d), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// process adds a process that has a file open.
func process(t *testing.T, h Host, pid int, command, file string) {
	t.Helper()
	fd := h.path("proc", fmt.Sprint(pid), "fd")
	err := errors.Join(os.MkdirAll(fd, 0o700), os.Symlink(file, filepath.Join(fd, "7")), os.Symlink("/dev/null", filepath.Join(fd, "0")),
		os.WriteFile(h.path("proc", fmt.Sprint(pid), "cmdline"), []byte(command), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

func TestDevices(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  []string
	}{
		"none":     {[]string{"vfio/vfio"}, nil},
		"v4":       {[]string{"accel0", "accel1", "accel2", "accel3"}, []string{"accel0", "accel1", "accel2", "accel3"}},
		"by value": {[]string{"accel10", "accel9"}, []string{"accel9", "accel10"}},
		"later":    {[]string{"vfio/vfio", "vfio/0", "vfio/1"}, []string{"0", "1"}},
	} {
		var got []string
		for _, file := range host(t, c.files...).Devices() {
			got = append(got, filepath.Base(file))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestHolders(t *testing.T) {
	h := host(t, "accel0", "accel1", "accel2", "accel3")
	process(t, h, 4321, "python3\x00train.py\x00", h.path("dev", "accel2"))
	process(t, h, os.Getpid(), "self", h.path("dev", "accel1"))
	process(t, h, 99, "idle", "/dev/zero")
	for chip, want := range map[int]int{AllChips: 1, 0: 0, 1: 0, 2: 1, 3: 0} {
		got := h.Holders(chip)
		if len(got) != want {
			t.Fatalf("chip %d: %v, want %d", chip, got, want)
		}
		for _, h := range got {
			said := strings.Contains(h.String(), "process 4321 (python3 train.py) holds")
			if h.PID != 4321 || !said || !strings.HasSuffix(h.File, "accel2") {
				t.Errorf("chip %d: %s", chip, h)
			}
		}
	}
}

// TestLockFile: the lock of a living process is found and left; a file that nobody has locked goes.
func TestLockFile(t *testing.T) {
	h := host(t)
	if removed, err := h.ForgetStaleLock(); removed || err != nil {
		t.Errorf("without a file: %v, %v", removed, err)
	}
	owner := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockOwner$")
	owner.Env = append(os.Environ(), "LOCK_FILE="+h.LockFile())
	hold, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil { // it has the lock
		t.Fatal(err)
	}
	if locks, err := os.ReadFile("/proc/locks"); err == nil {
		if err := os.WriteFile(h.path("proc", "locks"), locks, 0o600); err != nil {
			t.Fatal(err)
		}
		got := h.Holders(AllChips)
		found := len(got) == 1 && got[0].PID == owner.Process.Pid
		if strings.Contains(string(locks), fmt.Sprint(owner.Process.Pid)) && !found {
			t.Errorf("held by %d, found %v", owner.Process.Pid, got)
		}
		if len(h.Holders(0)) != 0 {
			t.Error("the lock file is the whole host's: it must not keep a process from one chip")
		}
	}
	if removed, err := h.ForgetStaleLock(); removed || err != nil {
		t.Errorf("held: removed %v, %v", removed, err)
	}
	if err := errors.Join(hold.Close(), owner.Wait()); err != nil {
		t.Fatal(err)
	}
	removed, err := h.ForgetStaleLock()
	if _, gone := os.Stat(h.LockFile()); !removed || err != nil || gone == nil {
		t.Errorf("left over: removed %v, %v, %v", removed, err, gone)
	}
	if err := os.Mkdir(h.LockFile(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ForgetStaleLock(); err == nil || !strings.Contains(err.Error(), "sudo rm "+h.LockFile()) {
		t.Errorf("cannot be opened: %v", err)
	}
}

// TestLockOwner locks the file in a process of its own until its standard input ends.
func TestLockOwner(_ *testing.T) {
	file := os.Getenv("LOCK_FILE")
	if file == "" {
		return // it is the child of TestLockFile
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		lock := syscall.Flock_t{Type: syscall.F_WRLCK}
		err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock)
	}
	if err != nil {
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}
