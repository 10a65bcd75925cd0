package localstack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"trmsweep/internal/endpoint"
	"trmsweep/internal/supervise"
)

// Options are what a stack is started with.
type Options struct {
	State string // the state folder; it may be continued
	// StackArgs are arguments of devstack, WorkerArgs those of `trmsweep worker`, beside the state folder.
	StackArgs, WorkerArgs []string
	Stderr                io.Writer // hears of processes that die and are started again
}

// Stack is the embedded stack and one worker, kept alive until Stop.
type Stack struct {
	endpoint.Stack
	Failed chan error // a process that cannot be kept alive
	// Stop ends the worker first (its runs save), then the servers; it returns when all are gone.
	Stop func()
}

// Start starts devstack and a worker, the programs beside this one, and waits
// until the servers answer. The caller keeps the folder (Keep).
func Start(ctx context.Context, o Options) (*Stack, error) {
	self, devstack, err := programs("embedded stack")
	if err != nil {
		return nil, err
	}
	state, err := filepath.Abs(o.State)
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(state, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := removeAddresses(state); err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(logs, "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	s := &Stack{Failed: make(chan error, 2)}
	k := keeper{stack: s, log: slog.New(slog.NewTextHandler(logFile, nil)), stderr: o.Stderr}
	base := context.WithoutCancel(ctx)
	serversCtx, stopServers := context.WithCancel(base)
	workerCtx, stopWorker := context.WithCancel(base)
	workerDone := make(chan struct{})
	close(workerDone) // until there is one
	k.keep(serversCtx, supervise.Process{
		Name: "devstack",
		Path: devstack,
		Args: append([]string{"--state", state}, o.StackArgs...),
		Log:  filepath.Join(logs, "devstack.out"),
	})
	s.Stop = func() {
		stopWorker()
		<-workerDone
		stopServers()
		k.running.Wait()
		_ = logFile.Close()
	}
	if s.Stack, err = s.waitReady(ctx, state); err != nil {
		s.Stop()
		return nil, err
	}
	workerDone = k.keep(workerCtx, supervise.Process{
		Name: "worker",
		Path: self,
		Args: append([]string{"worker", "--embedded", "--state", state}, o.WorkerArgs...),
		Env:  []string{"STORAGE_EMULATOR_HOST=" + s.GCS},
		Log:  filepath.Join(logs, "worker.log"),
		Stop: 3 * time.Minute,
	})
	return s, nil
}

// programs are this program and the devstack beside it; what needs them is for the error.
func programs(what string) (self, devstack string, err error) {
	if self, err = os.Executable(); err != nil {
		return "", "", err
	}
	devstack = filepath.Join(filepath.Dir(self), "devstack")
	if _, err := os.Stat(devstack); err != nil {
		return "", "", fmt.Errorf("%s: %w; `make build` makes it", what, err)
	}
	return self, devstack, nil
}

// keeper keeps the processes of a stack alive.
type keeper struct {
	stack   *Stack
	log     *slog.Logger
	stderr  io.Writer
	running sync.WaitGroup
}

// keep keeps a process alive until ctx ends and it has stopped (done).
func (k *keeper) keep(ctx context.Context, p supervise.Process) (done chan struct{}) {
	done = make(chan struct{})
	p.Logger = k.log
	p.OnDeath = func(err error) {
		fmt.Fprintf(k.stderr, "trmsweep: %s ended (%v) and is started again; %s may say why\n", p.Name, err, p.Log)
	}
	k.running.Go(func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			k.stack.Failed <- err
		}
	})
	return done
}

// waitReady waits for the address file that the servers write once they answer.
func (s *Stack) waitReady(ctx context.Context, state string) (endpoint.Stack, error) {
	const patience = 90 * time.Second
	deadline := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if stack, err := endpoint.ReadStack(state); err == nil {
			return stack, nil
		}
		select {
		case err := <-s.Failed:
			return endpoint.Stack{}, fmt.Errorf("embedded stack: %w", err)
		case <-ctx.Done():
			return endpoint.Stack{}, ctx.Err()
		case <-deadline:
			return endpoint.Stack{}, fmt.Errorf("embedded stack is not ready after %v; see %s", patience, filepath.Join(state, "logs"))
		case <-tick.C:
		}
	}
}
