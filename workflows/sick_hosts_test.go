package workflows_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"trmsweep/activities"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// endedOn is the end of an attempt of a kind on a worker.
func endedOn(worker, kind, message string) error {
	p := study.Progress{StartedAt: time.Unix(1, 0), Host: "vm", Worker: worker}
	return temporal.NewApplicationErrorWithCause(message, kind, nil, p)
}

// One of two hosts cannot train: it is idle all the time, so that every attempt from the shared queue goes there. Whatever
// the reason, every experiment is trained by the other one, at once, nothing is charged, and the sweep names the host.
func TestOneSickHost(t *testing.T) {
	for _, kind := range []string{activities.ErrHost, activities.ErrUnfit, activities.ErrFailed, activities.ErrBusy} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld()
			w.living = []study.LivingHost{{Name: "vm:/sick", Idle: true}, {Name: "vm:/well"}}
			w.trainOn = func(queue string, in activities.TrainInput) (activities.TrainResult, error) {
				switch queue {
				case queues.Hosts:
					return activities.TrainResult{}, endedOn("vm:/sick", kind, "disk full")
				case queues.OfWorker("vm:/well"):
					return done(in), nil
				}
				t.Errorf("%s was sent to %s", in.Item.ID, queue)
				return done(in), nil
			}
			env := w.env(t)
			begin := env.Now()
			env.ExecuteWorkflow(workflows.TNSweepType)
			r := sweepResult(t, env)
			type outcome struct{ Done, Failures int }
			got := outcome{Done: r.Done}
			for _, e := range r.Experiments {
				got.Failures += e.Failures
			}
			if diff := cmp.Diff(outcome{Done: 5}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if took := env.Now().Sub(begin); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			note := "host vm:/sick: 5 attempts of 5 experiments failed there; the last: disk full"
			if page := r.Markdown(env.Now()); !strings.Contains(page, note) {
				t.Errorf("the page does not name the host:\n%s", page)
			}
		})
	}
}

// The other host is busy: the attempt waits there, longer each time, asks again who lives, and goes to one that is new.
func TestBusyHostIsWaitedFor(t *testing.T) {
	w := newWorld()
	w.living = []study.LivingHost{{Name: "a"}, {Name: "b"}}
	var patience []time.Duration
	w.trainOn = func(queue string, in activities.TrainInput) (activities.TrainResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch queue {
		case queues.Hosts:
			return activities.TrainResult{}, endedOn("a", activities.ErrHost, "disk full")
		case queues.OfWorker("b"):
			patience = append(patience, in.Patience)
			if len(patience) == 6 {
				w.living = append(w.living, study.LivingHost{Name: "c"})
			}
			return activities.TrainResult{}, temporal.NewApplicationError("no slot", activities.ErrNoSlot)
		}
		return done(in), nil
	}
	env := w.env(t)
	env.ExecuteWorkflow(workflows.ExperimentType)
	var r study.ExperimentResult
	if err := env.GetWorkflowResult(&r); err != nil {
		t.Fatal(err)
	}
	m := time.Minute
	if diff := cmp.Diff([]time.Duration{2 * m, 4 * m, 8 * m, 16 * m, 30 * m, 30 * m}, patience); diff != "" {
		t.Errorf("waits at the busy host (-want +got):\n%s", diff)
	}
	want := r
	want.Status, want.Attempts, want.Failures = study.StatusDone, 2, 0
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// An attempt that came one too many to the last slot of a host goes back to the queue: it is no attempt.
func TestCrowdedHost(t *testing.T) {
	w := newWorld()
	n := 0
	w.trainOn = func(_ string, in activities.TrainInput) (activities.TrainResult, error) {
		if n++; n < 4 {
			return activities.TrainResult{}, temporal.NewApplicationError("crowded", activities.ErrNoSlot)
		}
		return done(in), nil
	}
	env := w.env(t)
	begin := env.Now()
	env.ExecuteWorkflow(workflows.ExperimentType)
	var r study.ExperimentResult
	if err := env.GetWorkflowResult(&r); err != nil {
		t.Fatal(err)
	}
	if r.Attempts != 1 || len(r.Hosts) != 0 || env.Now().Sub(begin) > time.Second {
		t.Errorf("%d attempts, hosts %+v, after %s", r.Attempts, r.Hosts, env.Now().Sub(begin))
	}
}

// Preemptions before the first commit never end a run by their number: it rotates among the hosts, waits longer and longer, and ends well.
func TestPreemptedBeforeTheFirstCommit(t *testing.T) {
	w := newWorld()
	w.living = []study.LivingHost{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	var mu sync.Mutex
	on := map[string]int{}
	n := 0
	w.trainOn = func(queue string, in activities.TrainInput) (activities.TrainResult, error) {
		mu.Lock()
		defer mu.Unlock()
		host := strings.TrimPrefix(queue, queues.Hosts+"@")
		if queue == queues.Hosts {
			host = "a"
		}
		on[host]++
		if n++; n <= 30 {
			return activities.TrainResult{}, endedOn(host, activities.ErrPreempted, "killed")
		}
		return done(in), nil
	}
	env := w.env(t)
	env.ExecuteWorkflow(workflows.ExperimentType)
	var r study.ExperimentResult
	if err := env.GetWorkflowResult(&r); err != nil {
		t.Fatal(err)
	}
	if r.Status != study.StatusDone || r.Preemptions != 30 || on["a"] < 10 || on["b"] < 10 || on["c"] < 10 {
		t.Errorf("%s after %d preemptions, on %v", r.Status, r.Preemptions, on)
	}
}
