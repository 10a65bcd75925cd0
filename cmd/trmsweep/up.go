package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func (f *stackFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.profile, "profile", "smoke", "profile of sweeps that name none")
	fl.StringVar(&f.backend, "backend", envOr("TRMSWEEP_BACKEND", "auto"), "backend of the training processes")
	fl.IntVar(&f.slots, "slots", 1, "training processes at once")
	fl.IntVar(&f.threads, "threads", 0, "threads of each training process (0 = all cores)")
}

func newUpCmd(a *app) *cobra.Command {
	var f stackFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the embedded stack and a worker until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			s, err := startStack(ctx, a, f)
			if err != nil {
				return err
			}
			pid := a.path("up.pid")
			if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
				s.stop()
				return err
			}
			defer os.Remove(pid)
			fmt.Fprintf(a.stdout, "Web UI %s   Temporal %s   storage %s\nStart the study in another terminal: bin/tctl workflow start --type AllAblations\nCtrl-C stops.\n",
				s.UI, s.Temporal, s.GCS)
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

func newDownCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the `up` that runs on this state folder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file := filepath.Join(a.stateDir, "up.pid")
			data, err := os.ReadFile(file)
			if os.IsNotExist(err) {
				fmt.Fprintf(a.stdout, "nothing runs on %s\n", a.stateDir)
				return nil
			}
			if err != nil {
				return err
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
			if err != nil {
				return fmt.Errorf("read %s: %w", file, err)
			}
			return stopProcess(cmd.Context(), pid)
		},
	}
}

// stopProcess sends SIGTERM and waits until the process is gone.
func stopProcess(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return nil // gone already
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
