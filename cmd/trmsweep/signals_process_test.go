package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// `train | head -1`: nobody reads the events any more, and training goes on to its end.
func TestTrainingOutlivesItsReaders(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), processDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append(short(dir+"/store", dir), "--max-steps", "40")...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReaderSize(out, 16).ReadSlice('{'); err != nil {
		t.Error(err)
	}
	out.Close()
	errs.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("training ended: %v", err)
	}
	if got := committed(t, dir); got != 40 {
		t.Errorf("committed step %d", got)
	}
}

// committed is the step of the newest checkpoint of run r in dir.
func committed(t *testing.T, dir string) int64 {
	t.Helper()
	var out bytes.Buffer
	args := []string{"verify", "--json", "--store", dir + "/store", "--state", dir, "--run", "r"}
	if code := execute(t.Context(), args, &out, &out); code != exitOK {
		t.Fatalf("verify: exit code %d\n%s", code, out.String())
	}
	var v train.Verification
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return v.Step
}

// A command that a signal ends says which one and what is kept, with the exit code of training that was told to stop.
func TestInterruptedCommandsSayWhatIsKept(t *testing.T) {
	puzzle := strings.Repeat(".", 80) + "1"
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		sig  syscall.Signal
		args []string
		want string
	}{
		{"dataset build", syscall.SIGTERM, []string{"dataset", "build", "--source", "-", "--out", dir + "/set"},
			"interrupted by SIGTERM; nothing was written to " + dir + "/set"},
		{"sudoku solve", syscall.SIGINT, []string{"sudoku", "solve"},
			"interrupted by SIGINT; the first 0 puzzles of standard input were written, the rest were not"},
		{"import", syscall.SIGHUP, []string{"import", "-", "e2_2_t2_n2", "--profile", "smoke", "--run", "r"},
			"interrupted by SIGHUP; run r is not made: repeat the same command"},
	} {
		t.Run(c.name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), processDeadline)
			defer cancel()
			cmd := exec.CommandContext(ctx, self, append(c.args, "--state", dir)...)
			cmd.Env = append(os.Environ(), asProgram+"=1")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			in, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			defer out.Close()
			cmd.Stdin = in
			if _, err := out.WriteString(puzzle + "\n"); err != nil {
				t.Fatal(err)
			}
			hangups := make(chan os.Signal, 1) // as under nohup processes would inherit that it is ignored
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for waiting(t, out) { // until it has read: its signals are caught by then
				time.Sleep(time.Millisecond)
			}
			if err := cmd.Process.Signal(c.sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			code := cmd.ProcessState.ExitCode()
			if code != exitSignal || !strings.Contains(errs.String(), c.want) || strings.Contains(errs.String(), "context canceled") {
				t.Errorf("exit code %d: %s", code, errs.String())
			}
		})
	}
}

// waiting reports whether the pipe holds bytes that nobody has read.
func waiting(t *testing.T, pipe *os.File) bool {
	t.Helper()
	n, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// A dropped session is a notice: what was trained is saved. Under nohup it is nothing.
func TestHangup(t *testing.T) {
	// Where the tests themselves run under nohup the processes must not inherit that the signal is ignored.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for _, c := range []struct {
		name  string
		nohup bool
		code  int
	}{
		{"session dropped", false, protocol.ExitPreempted},
		{"nohup", true, protocol.ExitDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			sent := false
			hear := func(p *process, e protocol.Event) {
				if !sent && e.State == protocol.StateTraining && e.Step > 0 {
					sent = true
					p.signal(syscall.SIGHUP)
				}
			}
			args := short(dir+"/store", dir)
			var p *process
			if c.nohup {
				self, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				p = command(t, nil, hear, append([]string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh", self}, args...)...)
			} else {
				p = program(t, nil, hear, append(args, "--set", "epochs=10000")...) // longer than a busy machine takes to send a signal
			}
			if code := p.end(); code != c.code || !sent {
				t.Fatalf("exit code %d, want %d; sent %v\n%s", code, c.code, sent, p.stderr.String())
			}
			step := committed(t, dir)
			if finished := step == 400; finished != c.nohup || step == 0 {
				t.Errorf("committed step %d", step)
			}
		})
	}
}
