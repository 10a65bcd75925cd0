package localstack

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// training is a process that holds the lock of a worker, as training does; the worker is the process itself.
type training struct {
	pid   int
	ended chan error
}

func startTraining(t *testing.T, state, script string, w Worker) training {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// The pid must be in the file before the process exists: a placeholder of this process holds the file for it.
	lock, _, err := HoldWorker(state, Worker{PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{lock}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.PID = cmd.Process.Pid
	if err := rewrite(lock, w); err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it is ready
		t.Fatal(err)
	}
	tr := training{pid: w.PID, ended: make(chan error, 1)}
	go func() { tr.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = in.Close() })
	return tr
}

const (
	patient  = "echo; read x"               // ends on SIGTERM
	stubborn = "trap '' TERM; echo; read x" // tries to save
)

// A worker that outlived its stack is ended, by force only if it can save nowhere.
func TestOrphansAreEnded(t *testing.T) {
	defer func(d time.Duration) { saving = d }(saving)
	saving = 50 * time.Millisecond
	for _, c := range []struct {
		name   string
		script string
		worker Worker
		signal syscall.Signal
	}{
		{"told to stop", patient, Worker{Kept: true}, syscall.SIGTERM},
		{"nowhere to save", stubborn, Worker{Kept: true, NeedsStack: true}, syscall.SIGKILL},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			tr := startTraining(t, dir, c.script, c.worker)
			var told []int
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			n, err := StopOrphans(ctx, dir, func(pid int) { told = append(told, pid) })
			if err != nil || n != 1 {
				t.Fatalf("%d orphans: %v", n, err)
			}
			if d := cmp.Diff([]int{tr.pid}, told); d != "" {
				t.Errorf("told: %s", d)
			}
			var exit *exec.ExitError
			if err := <-tr.ended; !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != c.signal {
				t.Errorf("it ended with %v, want %s", err, c.signal)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, workerLocks)); len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

// Workers of a living keeper, and those of a server elsewhere, are nobody's orphans.
func TestOthersAreLeftAlone(t *testing.T) {
	kept := t.TempDir()
	done, err := Keep(kept, "")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	elsewhere := filepath.Join(t.TempDir(), "with [brackets]")
	for dir, w := range map[string]Worker{kept: {Kept: true}, elsewhere: {}} {
		startTraining(t, dir, patient, w)
		n, err := StopOrphans(t.Context(), dir, func(pid int) { t.Errorf("%d was told to stop", pid) })
		if err != nil || n != 0 {
			t.Errorf("%+v: %d orphans, %v", w, n, err)
		}
		if living, err := Workers(dir); err != nil || len(living) != 1 {
			t.Errorf("%+v: workers %v, %v", w, living, err)
		}
	}
}

// A folder is not deleted under a worker, or under training that outlives its worker.
func TestForgetRefusesWorkers(t *testing.T) {
	for _, c := range []struct {
		name   string
		worker Worker
		want   string
	}{
		{"an orphan", Worker{Kept: true}, "has outlived its stack and works on: end it first with `trmsweep down`"},
		{"a worker of a server elsewhere", Worker{}, "stop it first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, stackLock), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			tr := startTraining(t, dir, patient, c.worker)
			if _, err := Forget(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if err := syscall.Kill(tr.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-tr.ended
			if _, err := Forget(dir); err != nil {
				t.Errorf("when it has ended: %v", err)
			}
		})
	}
}
