package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"trmsweep/internal/endpoint"
	"trmsweep/internal/localstack"
)

// stackFlags are what run and up share.
type stackFlags struct {
	backend        string
	slots, threads int
	profile        string
	allowHosts     []string
	dataRoots      []string
}

// allowed are the --allow-host flags for a child.
func (f stackFlags) allowed() []string {
	var args []string
	for _, name := range f.allowHosts {
		args = append(args, "--allow-host", name)
	}
	return args
}

// check finds what is wrong with the flags, and with what the worker takes from
// the environment, before the stack is started.
func (f stackFlags) check(a *app) error {
	cfg, err := a.configs()
	if err != nil {
		return err
	}
	if _, err := dataRoots(cfg, os.Environ(), f.dataRoots); err != nil {
		return err
	}
	w := workerFlags{
		store: workerStore(), backend: f.backend, profile: f.profile, threads: f.threads, slots: f.slots, slotsGiven: true,
		metrics: envOr("TRMSWEEP_METRICS_ADDRESS", ""), allowHosts: f.allowHosts,
	}
	return w.check(cfg)
}

// startStack starts the embedded stack and a worker with the flags. State is in the state folder; it may be continued.
func startStack(ctx context.Context, a *app, f stackFlags) (*localstack.Stack, error) {
	if names := endpoint.Environment(); names != "" {
		fmt.Fprintf(a.stderr, "trmsweep: the Temporal server of the environment (%s) is ignored: this command uses its own\n", names)
	}
	args := []string{
		"--profile", f.profile, "--backend", f.backend, "--slots", strconv.Itoa(f.slots), "--threads", strconv.Itoa(f.threads), "--store",
		workerStore(),
	}
	if a.configDir != "" {
		args = append(args, "--configs", a.configDir)
	}
	args = append(args, f.allowed()...)
	for _, root := range f.dataRoots {
		args = append(args, "--data-root", root)
	}
	return localstack.Start(ctx, localstack.Options{State: a.stateDir, StackArgs: f.allowed(), WorkerArgs: args, Stderr: a.stderr})
}
