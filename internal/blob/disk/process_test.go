package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"trmsweep/internal/blob"
)

const helperDir = "TRMSWEEP_DISK_TEST_DIR"

// TestHelper is not a test: as a process of its own it counts up one object by
// compare-and-swap and says so, until it has done its share or is killed.
func TestHelper(t *testing.T) {
	dir := os.Getenv(helperDir)
	if dir == "" {
		return // run by TestProcesses only
	}
	ctx := context.Background()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for done := 0; done < share; {
		data, a, err := blob.ReadAll(ctx, b, "counter", 0)
		generation := a.Generation
		if errors.Is(err, blob.ErrNotExist) {
			data, generation, err = []byte("0"), blob.Absent, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatalf("torn counter %q", data)
		}
		_, err = blob.PutBytes(ctx, b, "counter", fmt.Appendf(nil, "%*d", 1+n%50, n+1), generation)
		if errors.Is(err, blob.ErrPrecondition) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		done++
		fmt.Println("counted", n+1)
	}
}

const share = 25

// Several processes change one object, and some are killed in the middle: no
// change is lost, none happens twice, and the object is never torn.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	type worker struct {
		cmd   *exec.Cmd
		lines chan string
	}
	var all []worker
	for i := range 5 {
		cmd := exec.Command(self, "-test.run=^TestHelper$", "-test.v")
		cmd.Env = append(os.Environ(), helperDir+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w := worker{cmd, make(chan string, 2*share)}
		go func() {
			defer close(w.lines)
			n := 0
			for sc := bufio.NewScanner(out); sc.Scan(); {
				if rest, ok := strings.CutPrefix(sc.Text(), "counted "); ok {
					w.lines <- rest
					if n++; i < 2 && n == 3+4*i { // two of them die at work
						_ = cmd.Process.Kill()
					}
				} else if strings.Contains(sc.Text(), "process_test.go") {
					w.lines <- sc.Text()
				}
			}
		}()
		all = append(all, w)
	}
	heard := map[int]bool{}
	killed := 0
	for i, w := range all {
		for line := range w.lines {
			n, err := strconv.Atoi(line)
			if err != nil || heard[n] {
				t.Errorf("process %d: %s", i, line)
			}
			heard[n] = true
		}
		if err := w.cmd.Wait(); err != nil {
			if killed++; i >= 2 {
				t.Errorf("process %d: %v", i, err)
			}
		}
	}
	b, err := Open(dir) // also sweeps what the dead have left
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := blob.ReadAll(t.Context(), b, "counter", 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || n < len(heard) || n > len(heard)+killed || n < 3*share {
		t.Errorf("counter %q; %d changes were heard of, %d processes killed", data, len(heard), killed)
	}
	left, err := os.ReadDir(dir + "/" + tempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
	// The lock of a dead process is free.
	done := make(chan error, 1)
	go func() {
		_, err := blob.PutBytes(t.Context(), b, "counter", []byte("0"), blob.Any)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the lock of a dead process is held for ever")
	}
}
