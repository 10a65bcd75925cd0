package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// upFile, in the state folder, is locked by the process that keeps the stack: an
// `up`, whose pid it holds, or a `run`, when it is empty.
const upFile = "up.pid"

func (f *stackFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.profile, "profile", "smoke", "profile of sweeps that name none")
	fl.StringVar(&f.backend, "backend", envOr("TRMSWEEP_BACKEND", "auto"), "backend of the training processes")
	fl.IntVar(&f.slots, "slots", 1, "training processes at once")
	fl.IntVar(&f.threads, "threads", 0, "threads of each training process (0 = all cores)")
	addAllowHost(cmd, &f.allowHosts)
	addDataRoot(cmd, &f.dataRoots)
}

func newUpCmd(a *app) *cobra.Command {
	var f stackFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the embedded stack and a worker until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			unheard(a)
			a.embedded = true
			if err := f.check(a); err != nil {
				return err
			}
			done, err := keepState(a, strconv.Itoa(os.Getpid()))
			if err != nil {
				return err
			}
			defer done()
			s, err := startStack(ctx, a, f)
			if err != nil && ctx.Err() != nil {
				fmt.Fprintln(a.stderr, "stopped before the stack was up")
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "Web UI %s   Temporal %s   storage %s\nStart the study in another terminal: %s\nCtrl-C stops.\n",
				s.UI, s.Temporal, s.GCS, a.here("bin/tctl workflow start --type AllAblations"))
			select {
			case <-ctx.Done():
			case err = <-s.failed:
			}
			fmt.Fprintln(a.stderr, "stopping (running experiments save first)")
			s.stop()
			return err
		},
	}
	f.add(cmd)
	return cmd
}

// keepState makes this process the only one that keeps a stack on the state
// folder, until done or its death. pid is what `down` may stop; empty = nothing.
func keepState(a *app, pid string) (done func(), err error) {
	if err := os.MkdirAll(a.stateDir, 0o755); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	file := a.path(upFile)
	lock, err := holdFile(file, os.O_CREATE)
	if errors.Is(err, errHeld) {
		return nil, errRunning(a.stateDir)
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err = lock.Truncate(0); err == nil {
		_, err = lock.WriteAt([]byte(pid), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state folder: %w", err), lock.Close())
	}
	return func() {
		_ = os.Remove(file)
		_ = lock.Close()
	}, nil
}

func newDownCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the `up` that runs on this state folder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stopped, err := stopUp(cmd.Context(), a.path(upFile), func(pid int) {
				fmt.Fprintf(a.stderr, "process %d was told to stop; running experiments save first\n", pid)
			})
			if err != nil {
				return err
			}
			if stopped && asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"state": a.stateDir, "action": "down", "done": true})
			}
			if stopped {
				fmt.Fprintf(a.stdout, "stopped the stack on %s\n", a.stateDir)
				return nil
			}
			lock, err := holdState(a.stateDir, 0)
			switch {
			case errors.Is(err, errHeld):
				return fmt.Errorf("a stack runs on %s%s that `trmsweep up` does not keep: press Ctrl-C where `trmsweep run` or the stack was started; where its `up` was killed it ends by itself within seconds", a.stateDir, whoRuns(a.stateDir))
			case err == nil:
				_ = lock.Close()
			case !errors.Is(err, fs.ErrNotExist):
				return err
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"state": a.stateDir, "action": "down", "done": false})
			}
			fmt.Fprintf(a.stdout, "nothing runs on %s\n", a.stateDir)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// stopUp sends SIGTERM to the `up` that holds the file and waits for its end;
// false where no `up` does. What a killed one has left is removed: its pid may
// be another program's by now.
func stopUp(ctx context.Context, file string, told func(pid int)) (bool, error) {
	held, err := heldBySomeone(file)
	if err != nil || !held {
		return false, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}
	if len(data) == 0 { // `run` keeps the stack
		return false, nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false, fmt.Errorf("stop process %d: %w", pid, err)
	}
	defer func() { _ = p.Release() }()
	// Still held: the handle is the holder's, not that of a later process of the same number.
	if held, err := heldBySomeone(file); err != nil || !held {
		return true, err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("stop process %d: %w", pid, err)
	}
	told(pid)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if held, err := heldBySomeone(file); err != nil || !held {
			return true, err
		}
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-tick.C:
		}
	}
}

// heldBySomeone reports whether a living process holds the file; one that is
// left over is removed.
func heldBySomeone(file string) (bool, error) {
	lock, err := holdFile(file, 0)
	switch {
	case errors.Is(err, errHeld):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, errors.Join(os.Remove(file), lock.Close())
}
