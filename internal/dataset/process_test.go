package dataset

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"trmsweep/internal/blob/disk"
)

const helperEnv = "TRMSWEEP_DATASET_TEST"

// TestHelper is not a test: it is a process of its own for those below.
func TestHelper(t *testing.T) {
	mode, arg, _ := strings.Cut(os.Getenv(helperEnv), ":")
	ctx := context.Background()
	switch mode {
	case "ensure":
		b, err := disk.Open(filepath.Join(arg, "bucket"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			d, err := Ensure(ctx, b, smoke, filepath.Join(arg, "cache"), nil)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("built", d.Built, d.Hash, mustHash(t, d.Dir))
		}
	case "hang": // in the middle of a split, until killed
		stage, out, _ := strings.Cut(arg, ":")
		_, err := Build(ctx, smoke, out, func(p Progress) {
			if p.Stage == stage && p.Done == 5 {
				fmt.Println("half done")
				select {}
			}
		})
		t.Fatal(err)
	case "limit":
		limit, out, _ := strings.Cut(arg, ":")
		n, err := strconv.ParseUint(limit, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			t.Fatal(err)
		}
		_, err = Build(ctx, smoke, out, nil)
		fmt.Println("error:", err)
	}
}

func helper(t *testing.T, arg string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestHelper$", "-test.v")
	cmd.Env = append(os.Environ(), helperEnv+"="+arg)
	return cmd
}

// Processes that start on one empty cache at once build the set once and all have it.
func TestProcessesShareOneCache(t *testing.T) {
	dir := t.TempDir()
	const processes = 4
	var outs [processes]strings.Builder
	var cmds [processes]*exec.Cmd
	for i := range cmds {
		cmds[i] = helper(t, "ensure:"+dir)
		cmds[i].Stdout = &outs[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	built, found, answers := 0, 0, map[string]bool{}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v\n%s", i, err, outs[i].String())
		}
		for line := range strings.Lines(outs[i].String()) {
			if rest, ok := strings.CutPrefix(line, "built true "); ok {
				built++
				answers[rest] = true
			} else if rest, ok := strings.CutPrefix(line, "built false "); ok {
				found++
				answers[rest] = true
			}
		}
	}
	if built != 1 || found != 3*processes-1 || len(answers) != 1 {
		t.Errorf("built %d times, found %d times, %d different answers", built, found, len(answers))
	}
}

// A build that is killed leaves nothing under the set's name, and the next one
// clears away what is left beside it.
func TestKilledBuild(t *testing.T) {
	for _, stage := range []string{"train", "test"} {
		t.Run(stage, func(t *testing.T) {
			parent := t.TempDir()
			out := filepath.Join(parent, "set")
			cmd := helper(t, "hang:"+stage+":"+out)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			sc := bufio.NewScanner(stdout)
			for sc.Scan() && sc.Text() != "half done" {
			}
			alive, _ := mustBuild(t, smoke) // elsewhere
			if err := os.Rename(alive, filepath.Join(parent, "other")); err != nil {
				t.Fatal(err)
			}
			sweepParts(parent, ".set")
			if names := entries(t, parent); len(names) != 2 || !strings.HasPrefix(names[0], ".set"+partMark) {
				t.Errorf("while it lives: %v", names)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if _, err := Open(out, "train"); err == nil {
				t.Error("the set looks complete")
			}
			if _, err := Build(context.Background(), smoke, out, nil); err != nil {
				t.Fatal(err)
			}
			if names := entries(t, parent); len(names) != 2 || names[0] != "other" || names[1] != "set" {
				t.Errorf("left: %v", names)
			}
			if mustHash(t, out) != mustHash(t, filepath.Join(parent, "other")) {
				t.Error("other bytes after the kill")
			}
		})
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// Whichever write finds no room, the error says so and nothing is left.
func TestNoRoom(t *testing.T) {
	for _, limit := range []int{50, 400, 5000, 60000} { // bytes a file may have
		parent := t.TempDir()
		out, err := helper(t, fmt.Sprintf("limit:%d:%s", limit, filepath.Join(parent, "set"))).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if s := string(out); !strings.Contains(s, "error: ") || !strings.Contains(s, "file too large") || !strings.Contains(s, "another folder") {
			t.Errorf("limit %d: %s", limit, s)
		}
		if names := entries(t, parent); len(names) != 0 {
			t.Errorf("limit %d leaves %v", limit, names)
		}
	}
	err := diskError(&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	if !strings.Contains(err.Error(), "disk full") || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("%v", err)
	}
}
