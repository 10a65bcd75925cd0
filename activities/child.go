package activities

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"trmsweep/internal/protocol"
	"trmsweep/internal/supervise"
)

// Child says how training processes are started.
type Child struct {
	Command []string // program and arguments before --spec; default: this binary, `train`
	Trial   []string // program and arguments of a trial; default: this binary, `trial`
	Args    []string // more arguments of both: ChildArgs
	Env     []string // added to the worker's environment
	Slots   Slots    // of the host if it is divided; the process of a slot has its environment too
	LogDir  string   // one file per run gets the children's standard error
	// Inherit are files that the processes keep open: locks of the worker that hold until they have ended too.
	Inherit []*os.File
	// Grace is the time from SIGTERM to SIGKILL: enough for one step and one save. 0 = 2 minutes.
	Grace time.Duration
	// Silence is the time after which a process that says nothing is killed: it
	// speaks every second unless it is stopped or hangs as a whole. 0 = 2 minutes.
	Silence time.Duration
}

// ChildArgs are the arguments that every training process and trial of a worker gets.
// Without a backend each chooses its own.
func ChildArgs(store, cacheDir, backend string, threads int) []string {
	args := []string{"--store", store, "--cache", cacheDir, "--threads", strconv.Itoa(threads)}
	if backend != "" {
		args = append(args, "--backend", backend)
	}
	return args
}

// exit is how a process ended.
type exit struct {
	code   int // of the protocol; protocol.ExitBySignal: by a signal
	signal syscall.Signal
	oom    bool   // the signal was the kernel's, for lack of memory
	silent bool   // the signal was ours, as the process said nothing
	tail   string // of its standard error
}

// run starts the process with the spec on its standard input and env added to its
// environment, calls on with every event, and waits for the end of the process. When stop
// closes, the process gets SIGTERM, and its whole group gets SIGKILL after the grace.
func (c Child) run(stop <-chan struct{}, name string, spec []byte, env, args []string, on func(protocol.Event)) (exit, error) {
	log, err := c.openLog(name)
	if err != nil {
		return exit{}, err
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return exit{}, fmt.Errorf("open log %s: %w", log.Name(), err)
	}
	command := c.Command
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return exit{}, fmt.Errorf("find this program: %w", err)
		}
		command = []string{self, "train"}
	}
	cmd := exec.Command(command[0], append(append([]string{}, command[1:]...), args...)...)
	cmd.Env = slices.Concat(os.Environ(), c.Env, env)
	cmd.Stdin = bytes.NewReader(spec) // not a file: a worker that is killed would leave it behind
	cmd.Stderr = log
	cmd.ExtraFiles = c.Inherit
	var end exit
	err = supervise.Tied(cmd, syscall.SIGKILL, func() (err error) {
		end, err = c.follow(cmd, stop, on)
		return err
	})
	end.tail = logTail(log, from)
	return end, err
}

// follow starts the process, reads its events and waits for its end.
func (c Child) follow(cmd *exec.Cmd, stop <-chan struct{}, on func(protocol.Event)) (exit, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return exit{}, fmt.Errorf("pipe to %s: %w", cmd.Path, err)
	}
	if err := cmd.Start(); err != nil {
		return exit{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan struct{})
	go c.stopper(cmd.Process.Pid, stop, ended)
	oom := watchOOM(ended)
	silent := c.readEvents(out, cmd.Process.Pid, on)
	err = cmd.Wait()
	close(ended)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // processes that it may have left behind
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		return exit{}, fmt.Errorf("wait for %s: %w", cmd.Path, err)
	}
	ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	e := exit{code: cmd.ProcessState.ExitCode()}
	if ws.Signaled() {
		e.signal = ws.Signal()
		e.silent = e.signal == syscall.SIGKILL && silent
		e.oom = e.signal == syscall.SIGKILL && !silent && oom()
	}
	return e, nil
}

func (c Child) stopper(pid int, stop, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-stop:
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	grace := c.Grace
	if grace == 0 {
		grace = 2 * time.Minute
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// readEvents reads lines until the pipe closes; what is not an event is skipped.
// A process that says nothing for too long is killed, and silent is true.
func (c Child) readEvents(r io.Reader, pid int, on func(protocol.Event)) (silent bool) {
	wait := c.Silence
	if wait == 0 {
		wait = 2 * time.Minute
	}
	var killed atomic.Bool
	quiet := time.AfterFunc(wait, func() {
		killed.Store(true)
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	})
	defer quiet.Stop()
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadBytes('\n')
		quiet.Reset(wait)
		if e, ok := protocol.ParseEvent(line); ok {
			on(e)
		}
		if err != nil {
			return killed.Load()
		}
	}
}

func (c Child) openLog(name string) (*os.File, error) {
	if c.LogDir == "" {
		f, err := os.CreateTemp("", "trmsweep-*.log")
		if err == nil {
			_ = os.Remove(f.Name())
		}
		return f, err
	}
	if err := checkRun(name); err != nil { // its log lies in LogDir and nowhere else
		return nil, err
	}
	if err := os.MkdirAll(c.LogDir, 0o755); err != nil {
		return nil, fmt.Errorf("make log folder: %w", err)
	}
	return os.OpenFile(filepath.Join(c.LogDir, name+".log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
}

// logTail is the last 1,500 bytes written since from: failures may hold 4 KiB.
func logTail(f *os.File, from int64) string {
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	from = max(from, st.Size()-1500)
	b := make([]byte, st.Size()-from)
	n, _ := f.ReadAt(b, from)
	return strings.TrimSpace(string(b[:n]))
}
