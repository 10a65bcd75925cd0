package e2e

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
	ours "trmsweep/worker"
	"trmsweep/workflows"
)

var experiments = flag.Int("experiments", 300, "experiments of TestManyExperiments: more than a round of 250")

// manyItems is a plan of many experiments.
func manyItems() activities.Plan {
	phases := []string{"baseline", "ablations", "scaling", "advanced"}
	p := activities.Plan{Profile: "paper", Code: "abc123"}
	for i := range *experiments {
		id := fmt.Sprintf("e%d_%04d_with_a_name_of_usual_length", i*4 / *experiments + 1, i)
		p.Items = append(p.Items, study.Item{Experiment: id, ID: id, Phase: phases[i*4 / *experiments], Run: fmt.Sprintf("%016x-s42", i),
			SpecHash: fmt.Sprintf("%064x", i), SpecKey: fmt.Sprintf("specs/%016x-s42.json", i), Seed: 42, TotalSteps: 48828,
			EstimatedHours: 4.1, Reference: "e1_3_batch_1024", Shape: "0123456789ab", Batch: 1024})
	}
	return p
}

// instantly registers activities that take no time.
func instantly(light, hosts worker.Worker) {
	reg := func(w worker.Worker, name string, f any) {
		w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
	reg(light, "Plan", func(context.Context, activities.PlanInput) (activities.Plan, error) { return manyItems(), nil })
	reg(light, "StatusAll", func(_ context.Context, items []study.Item) ([]study.RunStatus, error) {
		return make([]study.RunStatus, len(items)), nil
	})
	reg(light, "Status", func(context.Context, study.Item) (study.RunStatus, error) {
		return study.RunStatus{}, nil
	}) // after a lost answer
	reg(light, "Dataset", func(context.Context, activities.DatasetInput) (activities.DatasetResult, error) {
		return activities.DatasetResult{}, nil
	})
	reg(light, "Report", func(context.Context, activities.ReportInput) (activities.ReportResult, error) {
		return activities.ReportResult{}, nil
	})
	reg(light, "Pollers", func(context.Context) (preflight.Row, error) { return preflight.Row{Check: "workers", OK: true}, nil })
	reg(hosts, "Preflight", func(context.Context, activities.PreflightInput) (preflight.Table, error) {
		return preflight.Table{OK: true}, nil
	})
	reg(hosts, "Trial", func(_ context.Context, in activities.TrialInput) (preflight.Row, error) {
		return preflight.Row{Check: "trial of " + in.ID, OK: true}, nil
	})
	reg(hosts, "Train", func(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
		return activities.TrainResult{StateSHA256: in.Item.Run,
			Progress: study.Progress{Step: in.Item.TotalSteps, CommittedStep: in.Item.TotalSteps, Total: in.Item.TotalSteps,
				StartedAt: time.Now(), Goodput: map[string]float64{"starting": 1, "compiling": 2, "training": 100, "saving": 1, "evaluating": 5}}}, nil
	})
}

// A sweep of many experiments on a real server, with activities that take no time: its
// histories stay far below the server's limits of 51,200 events and 50 MiB. A thousand
// (`-args -experiments 1000`) take minutes of a busy machine.
func TestManyExperiments(t *testing.T) {
	t.Parallel()
	s := startStack(t, t.TempDir())
	c, err := client.Dial(client.Options{HostPort: s.Temporal, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	flows, light, hosts := worker.New(c, queues.Workflows, worker.Options{}), worker.New(c, queues.Light, worker.Options{}),
		worker.New(c, queues.Hosts, worker.Options{})
	ours.RegisterWorkflows(flows)
	instantly(light, hosts)
	for _, w := range []worker.Worker{flows, light, hosts} {
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
	}
	begin := time.Now()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "many", TaskQueue: queues.Workflows},
		workflows.AllAblationsType)
	if err != nil {
		t.Fatal(err)
	}
	var r study.SweepResult
	if err := run.Get(t.Context(), &r); err != nil || r.Done != *experiments || r.Failed != 0 {
		t.Fatalf("%d done, %d failed: %v %v", r.Done, r.Failed, r.Notes, err)
	}
	took := time.Since(begin)
	histories, most, bytes := 0, 0, 0
	for id := run.GetRunID(); id != ""; {
		events, next := 0, ""
		for it := c.GetWorkflowHistory(t.Context(), "many", id, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
			e, err := it.Next()
			if err != nil {
				t.Fatal(err)
			}
			events++
			if a := e.GetWorkflowTaskStartedEventAttributes(); a != nil {
				bytes = max(bytes, int(a.GetHistorySizeBytes()))
			}
			next = e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
		}
		histories, most, id = histories+1, max(most, events), next
	}
	if most > 20000 || bytes > 20<<20 {
		t.Errorf("the longest of %d histories has %d events, the largest %d bytes", histories, most, bytes)
	}
	t.Logf("%.1f ms of wall clock per experiment; %d histories, the longest has %d events, the largest %.1f MiB",
		float64(took.Milliseconds())/float64(*experiments), histories, most, float64(bytes)/(1<<20))
	if r.Status != study.StatusDone {
		t.Errorf("it is %s", r.Status)
	}
}
