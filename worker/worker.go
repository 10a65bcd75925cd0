// Package worker connects to Temporal and runs the study's workflows and
// activities on this host. Run wires the activities to the store and the training program;
// cmd/trmsweep gives it the options and the checks of the host.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/endpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/preflight"
	"trmsweep/internal/queues"
	"trmsweep/internal/standing"
	"trmsweep/internal/study"
	"trmsweep/internal/tpu"
	"trmsweep/internal/wait"
	"trmsweep/workflows"
)

// Options are a worker's settings.
type Options struct {
	Server   endpoint.Choice
	StateDir string // logs, cache
	Store    string // folder or gs://bucket/prefix
	Profile  string // of sweeps whose input names none
	Backend  string // of training processes
	Threads  int    // of training processes; 0 = all cores
	Slots    int    // training processes at once; 0 = 1
	Chips    int    // TPU chips of this host, each of which is a slot; 0 = the host is not divided
	Configs  fs.FS
	Environ  []string
	// DataRoots are what a workflow's data_source may name of this host; see activities.
	DataRoots []string
	Logger    *slog.Logger
	Patience  time.Duration // how long the server may be away at the start; 0 = 1 minute
	// Grace is the time a training process has to save after SIGTERM; 0 = 2 minutes.
	Grace   time.Duration
	Command []string // training program; empty = this binary, `train`
	// Inherit are files that training processes keep open: locks of this worker that hold until they have ended too.
	Inherit []*os.File
	// MetricsAddress is host:port of GET /metrics for Prometheus; empty = none.
	MetricsAddress string
	// AllowHosts are names under which it may be addressed, beside localhost, 127.0.0.1 and [::1].
	AllowHosts []string

	Checks func(specs []experiment.Spec, env []string) []preflight.Check
	// OnReady, if set, hears when the pollers have started.
	OnReady func()
}

// Run works until ctx ends; then running children save and the worker stops.
func Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Slots <= 0 {
		o.Slots = max(1, o.Chips)
	}
	if o.Grace == 0 {
		o.Grace = 2 * time.Minute
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read host name: %w", err)
	}
	state, err := filepath.Abs(o.StateDir)
	if err != nil {
		return fmt.Errorf("find the state folder %s: %w", o.StateDir, err)
	}
	counting, err := serveMetrics(ctx, o)
	if err != nil {
		return err
	}
	name := queues.WorkerName(host, state)
	c, e, err := Dial(ctx, o.Server, queues.Identity(os.Getpid(), name), o.Logger, o.Patience, counting, withHeartbeats)
	if err != nil {
		return err
	}
	defer c.Close()
	o.Logger.Info("connected", "server", e.HostPort, "namespace", e.Namespace, "from", e.From)
	bucket, closer, err := open.Bucket(ctx, o.Store)
	if err != nil {
		return fmt.Errorf("open store %s: %w", o.Store, err)
	}
	defer closeLogged(closer, o.Logger)
	a := wire(c, bucket, o)
	a.Host = host
	a.Worker = name
	a.ListPollers = func(ctx context.Context) (string, error) { return CheckPollers(ctx, c, e.Namespace) }
	a.ListHosts = func(ctx context.Context) ([]study.LivingHost, error) { return livingHosts(ctx, c, e.Namespace) }
	return serve(ctx, c, o, a)
}

// wire builds the activities out of concrete parts.
func wire(c client.Client, b blob.Bucket, o Options) *activities.Activities {
	cache := filepath.Join(o.StateDir, "cache")
	a := &activities.Activities{
		Configs: o.Configs, Environ: o.Environ, Profile: o.Profile, DataRoots: o.DataRoots, Bucket: b, Checks: o.Checks,
		CacheDir: cache, Opener: open.Bucket, Slots: activities.NewHostSlots(o.Slots),
		AwaitEnd: func(ctx context.Context, workflowID, phaseRun string) (study.End, error) {
			return standing.AwaitEnd(ctx, c, workflowID, phaseRun)
		},
		AskOwner: func(ctx context.Context, o checkpoint.Owner) (activities.OwnerState, error) {
			seen, err := standing.Attempt(ctx, c, o.WorkflowID, o.RunID, o.ActivityID)
			return activities.OwnerState{Known: seen.Status != "", Lives: seen.Running, Progress: seen.Heartbeat}, err
		},
		LastHeartbeat: func(ctx context.Context, workflowID string) *study.Progress {
			seen, _ := standing.Look(ctx, c, workflowID) // a page without it is only older
			return seen.Heartbeat
		},
		Child: activities.Child{
			Command: o.Command,
			Args:    activities.ChildArgs(o.Store, cache, o.Backend, o.Threads),
			LogDir:  filepath.Join(o.StateDir, "logs"),
			Grace:   o.Grace,
			Inherit: o.Inherit,
		},
		Heartbeat: func(ctx context.Context, taskToken []byte, details any) error {
			return c.RecordActivityHeartbeat(ctx, taskToken, details)
		},
		Notify: func(ctx context.Context, p study.Progress) error {
			info := activity.GetInfo(ctx)
			sctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return c.SignalWorkflow(sctx, info.WorkflowExecution.ID, info.WorkflowExecution.RunID, workflows.SignalProgress, p)
		},
	}
	if o.Chips > 0 {
		a.Child.Slots = activities.NewSlots(o.Chips, func(chip int) []string { return tpu.Isolation(o.Chips, chip) })
	}
	return a
}

// serve runs the workers of a host, one for each task queue, until ctx ends.
func serve(ctx context.Context, c client.Client, o Options, a *activities.Activities) error {
	common := worker.Options{
		WorkerStopTimeout: o.Grace + 10*time.Second,
		Interceptors:      []interceptor.WorkerInterceptor{activities.Interceptor()},
	}
	patient := common
	patient.DeadlockDetectionTimeout = 10 * time.Second // training may use every core
	flows := worker.New(c, queues.Workflows, patient)
	RegisterWorkflows(flows)
	flows.RegisterDynamicWorkflow(workflows.Unknown, workflow.DynamicRegisterOptions{})
	light := worker.New(c, queues.Light, common)
	registerLight(light, a)
	shared := common
	shared.DisableWorkflowWorker = true
	own := shared // without a limit of its own: attempts wait there for a slot
	var err error
	if shared.Tuner, err = tuner(newSharedSlots(a.Slots)); err != nil {
		return fmt.Errorf("divide the slots: %w", err)
	}
	hosts := worker.New(c, queues.Hosts, shared)
	registerHost(hosts, a)
	alone := worker.New(c, queues.OfWorker(a.Worker), own)
	alone.RegisterActivity(a.Train)

	started := []worker.Worker{}
	defer func() {
		for i := len(started) - 1; i >= 0; i-- {
			started[i].Stop()
		}
	}()
	for _, w := range []worker.Worker{flows, light, hosts, alone} {
		if err := w.Start(); err != nil {
			return fmt.Errorf("start worker: %w", err)
		}
		started = append(started, w)
	}
	o.Logger.Info("worker started", "slots", o.Slots, "chips", o.Chips, "store", o.Store,
		"queues", []string{queues.Workflows, queues.Light, queues.Hosts, queues.OfWorker(a.Worker)})
	if o.OnReady != nil {
		o.OnReady()
	}
	<-ctx.Done()
	return nil
}

func closeLogged(c io.Closer, l *slog.Logger) {
	if err := c.Close(); err != nil {
		l.Warn("close store", "error", err)
	}
}

// ErrNoServer: nothing answers at the server's address.
var ErrNoServer = errors.New("no Temporal server")

// Dial connects to the server that was chosen. It tries again until patience (0 = 1
// minute) is used up; settings that name no server, and for a command a folder on
// which no stack was started, are errors at once.
func Dial(ctx context.Context, choice endpoint.Choice, identity string, l *slog.Logger, patience time.Duration,
	settings ...func(*client.Options)) (client.Client, endpoint.Endpoint, error) {
	if patience == 0 {
		patience = time.Minute
	}
	if l == nil {
		l = slog.Default()
	}
	deadline := time.Now().Add(patience)
	for said := false; ; {
		e, err := choice.Resolve()
		if err != nil && !choice.Waits(err) {
			return nil, e, err
		}
		if err == nil {
			var c client.Client
			if c, err = connect(ctx, e, identity, l, settings); err == nil {
				return c, e, nil
			}
			err = fmt.Errorf("%w answers at %s (%s): %w; start one with `trmsweep up`, or set TEMPORAL_ADDRESS",
				ErrNoServer, e.HostPort, e.From, err)
		}
		if ctx.Err() != nil {
			return nil, e, ctx.Err()
		}
		if time.Now().After(deadline) {
			return nil, e, err
		}
		if !said {
			l.Warn("the server does not answer, waiting", "patience", patience, "error", err)
			said = true
		}
		_ = wait.Sleep(ctx, 500*time.Millisecond)
	}
}

// connect tries once.
func connect(ctx context.Context, e endpoint.Endpoint, identity string, l *slog.Logger,
	settings []func(*client.Options)) (client.Client, error) {
	opts := e.Options
	opts.Identity = identity
	opts.Logger = log.NewStructuredLogger(l)
	for _, set := range settings {
		set(&opts)
	}
	dctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return client.DialContext(dctx, opts)
}
