package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"trmsweep/internal/endpoint"
	"trmsweep/internal/supervise"
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
	return workerFlags{store: envOr("TRMSWEEP_STORE", "gs://trmsweep"), backend: f.backend, profile: f.profile, threads: f.threads, slots: f.slots, slotsGiven: true,
		metrics: envOr("TRMSWEEP_METRICS_ADDRESS", ""), allowHosts: f.allowHosts}.check(cfg)
}

// localStack is the embedded stack and one worker, kept alive until stop.
type localStack struct {
	endpoint.Stack
	failed chan error // a process that cannot be kept alive
	stop   func()     // worker first (its runs save), then the servers; returns when all are gone
}

// startStack starts bin/devstack and a worker beside this binary and waits
// until the servers answer. State is in the state folder; it may be continued.
func startStack(ctx context.Context, a *app, f stackFlags) (*localStack, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	devstack := filepath.Join(filepath.Dir(self), "devstack")
	if _, err := os.Stat(devstack); err != nil {
		return nil, fmt.Errorf("embedded stack: %w; `make build` makes it", err)
	}
	if names := endpoint.Environment(); names != "" {
		fmt.Fprintf(a.stderr, "trmsweep: the Temporal server of the environment (%s) is ignored: this command uses its own\n", names)
	}
	state, err := filepath.Abs(a.stateDir)
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(state, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := forgetAddresses(state); err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(logs, "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(logFile, nil))
	s := &localStack{failed: make(chan error, 2)}
	var running sync.WaitGroup
	keep := func(ctx context.Context, p supervise.Process) (done chan struct{}) {
		p.Logger, done = logger, make(chan struct{})
		p.OnDeath = func(err error) {
			fmt.Fprintf(a.stderr, "trmsweep: %s ended (%v) and is started again; %s may say why\n", p.Name, err, p.Log)
		}
		running.Go(func() {
			defer close(done)
			if err := p.Run(ctx); err != nil {
				s.failed <- err
			}
		})
		return done
	}
	base := context.WithoutCancel(ctx)
	serversCtx, stopServers := context.WithCancel(base)
	workerCtx, stopWorker := context.WithCancel(base)
	keep(serversCtx, supervise.Process{Name: "devstack", Path: devstack, Args: append([]string{"--state", state}, f.allowed()...), Log: filepath.Join(logs, "devstack.out")})
	var workerDone chan struct{}
	s.stop = func() {
		stopWorker()
		if workerDone != nil {
			<-workerDone
		}
		stopServers()
		running.Wait()
		_ = logFile.Close()
	}
	if s.Stack, err = s.waitReady(ctx, state); err != nil {
		s.stop()
		return nil, err
	}
	args := []string{"worker", "--embedded", "--state", state, "--profile", f.profile, "--backend", f.backend,
		"--slots", strconv.Itoa(f.slots), "--threads", strconv.Itoa(f.threads), "--store", envOr("TRMSWEEP_STORE", "gs://trmsweep")}
	if a.configDir != "" {
		args = append(args, "--configs", a.configDir)
	}
	args = append(args, f.allowed()...)
	for _, root := range f.dataRoots {
		args = append(args, "--data-root", root)
	}
	workerDone = keep(workerCtx, supervise.Process{Name: "worker", Path: self, Args: args, Log: filepath.Join(logs, "worker.log"),
		Env: []string{"STORAGE_EMULATOR_HOST=" + s.GCS}, Stop: 3 * time.Minute})
	return s, nil
}

// waitReady waits for the address file that the servers write once they answer.
func (s *localStack) waitReady(ctx context.Context, state string) (endpoint.Stack, error) {
	const patience = 90 * time.Second
	deadline := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if stack, err := endpoint.ReadStack(state); err == nil {
			return stack, nil
		}
		select {
		case err := <-s.failed:
			return endpoint.Stack{}, fmt.Errorf("embedded stack: %w", err)
		case <-ctx.Done():
			return endpoint.Stack{}, ctx.Err()
		case <-deadline:
			return endpoint.Stack{}, fmt.Errorf("embedded stack is not ready after %v; see %s", patience, filepath.Join(state, "logs"))
		case <-tick.C:
		}
	}
}
