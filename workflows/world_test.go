package workflows_test

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"

	"trmsweep/activities"
	"trmsweep/configs"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/preflight"
	"trmsweep/internal/study"
	"trmsweep/worker"
)

// world is the fake hosts: training is a function of the attempt, planning is real.
type world struct {
	mu       sync.Mutex
	attempts map[string]int
	reports  []activities.ReportInput
	train    func(attempt int, in activities.TrainInput) (activities.TrainResult, error)
	finished map[string]study.RunStatus
	status   func(run string) study.RunStatus // instead of finished
	plan     *activities.Plan                 // instead of the real one
	real     *activities.Activities
	checks   preflight.Table
	noData   error
	trials   []string
	unfit    string // the experiment whose trial fails
	forks    []activities.ForkInput
	ends     map[string]study.End // workflow id -> how an experiment has ended whose phase had before
	looks    int                  // at heartbeats
	followed int                  // how often a run of another experiment was waited for
	living   []study.LivingHost
	trainOn  func(queue string, in activities.TrainInput) (activities.TrainResult, error) // instead of train
	progress func() *study.Progress
}

func newWorld() *world {
	return &world{attempts: map[string]int{}, finished: map[string]study.RunStatus{},
		real: &activities.Activities{Configs: configs.FS, Profile: "paper", Bucket: mem.New(time.Now)}, checks: preflight.Table{OK: true}}
}

func (w *world) env(t *testing.T) *testsuite.TestWorkflowEnvironment {
	bound(t)
	var s testsuite.WorkflowTestSuite
	s.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(2 * time.Minute)
	env.SetWorkerOptions(sdkworker.Options{DeadlockDetectionTimeout: time.Minute}) // of a machine that does much else
	worker.RegisterWorkflows(env)
	reg := func(name string, f any) { env.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name}) }
	reg("Plan", func(ctx context.Context, in activities.PlanInput) (activities.Plan, error) {
		if w.plan != nil {
			return *w.plan, nil
		}
		return w.real.Plan(ctx, in)
	})
	reg("Status", func(it study.Item) (study.RunStatus, error) {
		if w.status != nil {
			return w.status(it.Run), nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.finished[it.Run], nil
	})
	reg("StatusAll", func(items []study.Item) ([]study.RunStatus, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		out := make([]study.RunStatus, len(items))
		for i, it := range items {
			out[i] = w.finished[it.Run]
		}
		return out, nil
	})
	reg("Dataset", func(in activities.DatasetInput) (activities.DatasetResult, error) {
		return activities.DatasetResult{Hashes: []string{"abc"}}, w.noData
	})
	reg("Report", func(in activities.ReportInput) (activities.ReportResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reports = append(w.reports, in)
		return activities.ReportResult{Keys: []string{"sweeps/x/report.md"}}, nil
	})
	reg("Ends", func(in activities.EndsInput) ([]study.End, error) {
		ends := make([]study.End, len(in.Workflows))
		for i, id := range in.Workflows {
			ends[i] = w.ends[id]
		}
		return ends, nil
	})
	reg("Heartbeats", func(ids []string) ([]*study.Progress, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.looks++
		all := make([]*study.Progress, len(ids))
		for i := range all {
			if w.progress != nil {
				all[i] = w.progress()
			}
		}
		return all, nil
	})
	reg("Follow", func(it study.Item) (study.RunStatus, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.followed++
		return w.finished[it.Run], nil
	})
	reg("Hosts", func() ([]study.LivingHost, error) { return w.living, nil })
	reg("Pollers", func() (preflight.Row, error) { return preflight.Row{Check: "workers", OK: true}, nil })
	reg("Preflight", func(activities.PreflightInput) (preflight.Table, error) { return w.checks, nil })
	reg("Trial", func(in activities.TrialInput) (preflight.Row, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.trials = append(w.trials, in.ID)
		return preflight.Row{Check: "trial of " + in.ID, OK: in.ID != w.unfit, Detail: "loss"}, nil
	})
	reg("Extend", w.real.Extend)
	reg("Fork", func(in activities.ForkInput) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.forks = append(w.forks, in)
		return nil
	})
	reg("Train", func(ctx context.Context, in activities.TrainInput) (activities.TrainResult, error) {
		if w.trainOn != nil {
			return w.trainOn(activity.GetInfo(ctx).TaskQueue, in)
		}
		w.mu.Lock()
		w.attempts[in.Item.Run]++
		n := w.attempts[in.Item.Run]
		f := w.train
		w.mu.Unlock()
		if f != nil {
			return f(n, in)
		}
		return done(in), nil
	})
	return env
}

// bound ends the tests with all stacks when a test takes much too long. The test timeout
// of the SDK's environment cannot do it: it counts idle time only, in the main loop.
func bound(t *testing.T) {
	const most = 5 * time.Minute
	timer := time.AfterFunc(most, func() {
		debug.SetTraceback("all")
		panic(t.Name() + " still runs after " + most.String())
	})
	t.Cleanup(func() { timer.Stop() })
}

// stored is the number of objects in the store.
func (w *world) stored(t *testing.T) int {
	t.Helper()
	n := 0
	for _, err := range w.real.Bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func done(in activities.TrainInput) activities.TrainResult {
	return activities.TrainResult{StateSHA256: in.Item.Run,
		Progress: study.Progress{Step: in.Item.TotalSteps, CommittedStep: in.Item.TotalSteps, Total: in.Item.TotalSteps}}
}

func preempted(p study.Progress) error {
	return temporal.NewApplicationErrorWithCause("killed", activities.ErrPreempted, nil, p)
}

func sweepResult(t *testing.T, env *testsuite.TestWorkflowEnvironment) study.SweepResult {
	t.Helper()
	if err := env.GetWorkflowError(); err != nil {
		t.Fatalf("workflow: %v", err)
	}
	var r study.SweepResult
	if err := env.GetWorkflowResult(&r); err != nil {
		t.Fatal(err)
	}
	return r
}
