package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/localstack"
)

func (f *stackFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.profile, "profile", "smoke", "profile of sweeps that name none")
	addBackend(fl, &f.backend)
	addSlots(fl, &f.slots)
	addThreads(fl, &f.threads)
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
			done, err := localstack.Keep(a.stateDir, strconv.Itoa(os.Getpid()))
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
				s.UI, s.Temporal, s.GCS, a.given().Command("bin/tctl workflow start --type AllAblations"))
			select {
			case <-ctx.Done():
			case err = <-s.Failed:
			}
			fmt.Fprintln(a.stderr, "stopping (running experiments save first)")
			s.Stop()
			return err
		},
	}
	f.add(cmd)
	return cmd
}

// stackDying is how long the servers of a killed `up` may take to end. Tests make it shorter.
var stackDying = 10 * time.Second

func newDownCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the `up` that runs on this state folder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stopped, err := localstack.StopKeeper(cmd.Context(), a.stateDir, func(pid int) {
				fmt.Fprintf(a.stderr, "process %d was told to stop; running experiments save first\n", pid)
			})
			if err != nil {
				return err
			}
			orphans, err := localstack.StopOrphans(cmd.Context(), a.stateDir, func(pid int) {
				fmt.Fprintf(a.stderr, "worker %d has outlived its stack and was told to stop\n", pid)
			})
			if err != nil {
				return err
			}
			stopped = stopped || orphans > 0
			ended, err := localstack.AwaitStackEnd(cmd.Context(), a.stateDir, stackDying)
			if err != nil {
				return err
			}
			stopped = stopped || ended
			if stopped && asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"state": a.stateDir, "action": "down", "done": true})
			}
			if stopped {
				fmt.Fprintf(a.stdout, "stopped the stack on %s\n", a.stateDir)
				return nil
			}
			lock, err := localstack.LockState(a.stateDir)
			switch {
			case errors.Is(err, localstack.ErrLocked):
				return fmt.Errorf("a stack runs on %s%s that no `up` keeps: press Ctrl-C where `run` or the stack was started", a.stateDir,
					localstack.Description(a.stateDir))
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
	addJSON(cmd.Flags(), &asJSON)
	return cmd
}
