// Package supervise keeps child processes alive: it starts them, starts them
// again when they die, and stops them cleanly. Children die with their parent
// even if that is killed outright. It knows nothing of what they do.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"trmsweep/internal/protocol"
	"trmsweep/internal/wait"
)

// Process is one child to keep alive.
type Process struct {
	Name string
	Path string
	Args []string
	Env  []string      // added to this process's environment
	Log  string        // file that gets its output, appended
	Stop time.Duration // from SIGTERM to SIGKILL; 0 = 30 s
	// GiveUp is how many times in a row it may die within a minute of its start before Run fails; 0 = 5.
	GiveUp int
	Logger *slog.Logger
	// OnStart, if set, hears the pid of every start.
	OnStart func(pid int)
	// OnDeath, if set, hears why it ended before it is started again; nil: with exit code 0.
	OnDeath func(err error)
}

// youngDeath is the age under which a death counts towards GiveUp.
const youngDeath = time.Minute

// Run keeps the process alive until ctx ends, then stops it and returns nil. It
// fails when the program cannot be started or dies young too often; exit code 2
// (wrong usage or configuration) is final at once.
func (p Process) Run(ctx context.Context) error {
	if p.Stop == 0 {
		p.Stop = 30 * time.Second
	}
	if p.GiveUp == 0 {
		p.GiveUp = 5
	}
	if p.Logger == nil {
		p.Logger = slog.Default()
	}
	young := 0
	for {
		begin := time.Now()
		err := p.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) && err != nil {
			return err
		}
		if exit != nil && exit.ExitCode() == protocol.ExitUsage {
			return fmt.Errorf("%s stopped with exit code 2:\n%s", p.Name, tail(p.Log, 2000))
		}
		if time.Since(begin) < youngDeath {
			young++
		} else {
			young = 0
		}
		if young >= p.GiveUp {
			return fmt.Errorf("%s died %d times in a row (%v); the end of %s:\n%s", p.Name, young, err, p.Log, tail(p.Log, 2000))
		}
		p.Logger.Warn("process died, starting it again", "process", p.Name, "error", err)
		if p.OnDeath != nil {
			p.OnDeath(err)
		}
		_ = wait.Sleep(ctx, time.Duration(young)*200*time.Millisecond)
	}
}

// once runs the process until it ends or ctx does.
func (p Process) once(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	return Tied(cmd, syscall.SIGTERM, func() error { return p.follow(ctx, cmd) })
}

// follow starts the child, waits for its end and stops it when ctx ends.
func (p Process) follow(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if p.OnStart != nil {
		p.OnStart(cmd.Process.Pid)
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-ended:
			case <-time.After(p.Stop):
				_ = cmd.Process.Kill()
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	return err
}

// tail is the last n bytes of a file, for error messages.
func tail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > n {
		if _, err := f.Seek(-n, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
