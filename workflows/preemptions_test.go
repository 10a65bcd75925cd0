package workflows_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// hosts is a slice of preemptible hosts on the workflow's clock: attempts wait for
// a free one, start, compile, restore, train at the speed of the plan (a tenth more or
// less, of each run), commit every 100 seconds, and are preempted, half of them with a
// notice that lets them save. What happens to a run is drawn from the seed and its
// name alone: attempts that begin in the same second do so in any order.
type hosts struct {
	mu       sync.Mutex
	env      *testsuite.TestWorkflowEnvironment
	seed     uint64
	between  time.Duration // mean time between preemptions of a host
	free     []time.Time   // when each host is free again
	runs     map[string]*hostRun
	trained  map[string]float64 // useful seconds of training, by run
	problems []string
}

// hostRun is what the store and the running attempt of a run know.
type hostRun struct {
	rng                       *rand.Rand
	committed, executed, lost int64
	speed                     float64 // steps per second
	start                     time.Time
	seconds                   float64 // of the running attempt, on its host
	next                      func() (activities.TrainResult, error)
}

func newHosts(env *testsuite.TestWorkflowEnvironment, n int, between time.Duration, seed uint64) *hosts {
	return &hosts{env: env, seed: seed, between: between, free: make([]time.Time, n), runs: map[string]*hostRun{},
		trained: map[string]float64{}}
}

const (
	commitEvery = 100.0 // seconds of training
	toNotice    = 15.0  // seconds from a death to its discovery
)

// begin puts an attempt on the host that is free first and plays it to its end.
func (h *hosts) begin(it study.Item) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.runs[it.Run]
	if r == nil {
		name := fnv.New64a()
		_, _ = name.Write([]byte(it.Run))
		r = &hostRun{rng: rand.New(rand.NewPCG(h.seed, name.Sum64()))}
		r.speed = float64(it.TotalSteps) / (it.EstimatedHours * 3600) * (0.9 + 0.2*r.rng.Float64())
		h.runs[it.Run] = r
	}
	now := h.env.Now()
	host := 0
	for i := range h.free {
		if h.free[i].Before(h.free[host]) {
			host = i
		}
	}
	start := now
	if h.free[host].After(now) {
		start = h.free[host]
	}
	seconds, end := h.attempt(r, it, start)
	h.free[host] = start.Add(time.Duration(seconds * float64(time.Second)))
	r.start, r.seconds, r.next = start, seconds, end
	for at := 15.0; at < seconds; at += 300 {
		p := r.progress(it, at)
		sendProgress(h.env, start.Add(time.Duration(at*float64(time.Second))).Sub(now), "default-test-workflow-id/"+it.Phase+"/"+it.ID, p)
	}
	return h.free[host].Sub(now)
}

// attempt is one attempt's length in seconds and its end.
func (h *hosts) attempt(r *hostRun, it study.Item, start time.Time) (float64, func() (activities.TrainResult, error)) {
	account := map[string]float64{"starting": 20, "compiling": 60}
	if r.committed > 0 {
		account["restoring"] = 10
	}
	before := account["starting"] + account["compiling"] + account["restoring"]
	dies := r.rng.ExpFloat64() * h.between.Seconds()
	need := float64(it.TotalSteps-r.committed) / r.speed
	p := study.Progress{Total: it.TotalSteps, RestoredFrom: r.committed, CommittedStep: r.committed, StartedAt: start, Host: "host",
		Goodput: account}
	if dies >= before+need {
		p.Step, p.CommittedStep = it.TotalSteps, it.TotalSteps
		account["training"] = need
		return before + need + 2, func() (activities.TrainResult, error) {
			h.settle(r, it, &p, need)
			return activities.TrainResult{Progress: p, StateSHA256: it.Run}, nil
		}
	}
	worked := math.Max(dies-before, 0)
	p.Step = r.committed + int64(worked*r.speed)
	wall := dies
	if notice := r.rng.IntN(2) == 0; notice {
		p.CommittedStep, wall = p.Step, dies+5
		account["saving"] = 5
	} else {
		p.CommittedStep = r.committed + int64(math.Floor(worked/commitEvery)*commitEvery*r.speed)
		wall += toNotice
	}
	if worked == 0 { // it died before it had reported more than its start
		p.Goodput = map[string]float64{"starting": math.Min(dies, 20)}
	} else {
		account["training"] = worked
	}
	return wall, func() (activities.TrainResult, error) {
		h.settle(r, it, &p, worked)
		return activities.TrainResult{}, preempted(p)
	}
}

// settle brings the store up to date at the end of an attempt.
func (h *hosts) settle(r *hostRun, it study.Item, p *study.Progress, worked float64) {
	if p.RestoredFrom != r.committed {
		h.problems = append(h.problems, fmt.Sprintf("%s: an attempt began at step %d with %d committed", it.ID, p.RestoredFrom, r.committed))
	}
	r.executed += p.Step - p.RestoredFrom
	r.lost += p.Step - p.CommittedStep
	if p.Step > p.RestoredFrom {
		h.trained[it.Run] += worked * float64(p.CommittedStep-p.RestoredFrom) / float64(p.Step-p.RestoredFrom)
	}
	r.committed = p.CommittedStep
}

// progress is what the running attempt reports some seconds after its start.
func (r *hostRun) progress(it study.Item, at float64) study.Progress {
	worked := math.Max(at-90, 0)
	return study.Progress{Step: min(r.committed+int64(worked*r.speed), it.TotalSteps), Total: it.TotalSteps, CommittedStep: r.committed,
		RestoredFrom: r.committed, StartedAt: r.start,
		Goodput: map[string]float64{"starting": math.Min(20, at), "compiling": math.Min(60, math.Max(at-20, 0)), "training": worked}}
}

func (h *hosts) end(_ context.Context, in activities.TrainInput) (activities.TrainResult, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runs[in.Item.Run].next()
}

// status is what the store says of a run.
func (h *hosts) status(run string) study.RunStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.runs[run]; r != nil {
		return study.RunStatus{CommittedStep: r.committed}
	}
	return study.RunStatus{}
}

// playStudy trains all 18 experiments at paper scale on preemptible hosts.
func playStudy(t *testing.T, seed uint64, between time.Duration, input map[string]any) (study.SweepResult, *hosts, time.Duration) {
	t.Helper()
	w := newWorld()
	env := w.env(t)
	h := newHosts(env, 8, between, seed)
	w.status = h.status
	takeTime(env, planned(t, w, workflows.AllAblationsType), h.begin, h.end)
	begin := env.Now()
	env.ExecuteWorkflow(workflows.AllAblationsType, input)
	return sweepResult(t, env), h, env.Now().Sub(begin)
}

// Hundreds of preemptions over the study: no commit is lost, every step that counts
// was trained once, budgets hold, and the accounts are those of the hosts.
func TestPreemptionTraces(t *testing.T) {
	preemptions, seeds, least := 0, uint64(2), 400
	if raceEnabled {
		seeds, least = 1, 100
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r, h, took := playStudy(t, seed, 30*time.Minute, nil)
			for _, p := range h.problems {
				t.Error(p)
			}
			training := 0.0
			for _, e := range r.Experiments {
				if e.Status != study.StatusDone || e.CommittedStep != e.Item.TotalSteps {
					t.Errorf("%s: %s at step %d of %d: %s", e.Item.ID, e.Status, e.CommittedStep, e.Item.TotalSteps, e.Error)
				}
				if e.Item.SameAs != "" {
					continue
				}
				preemptions += e.Preemptions
				run := h.runs[e.Item.Run]
				if run.executed-run.lost != e.Item.TotalSteps || e.LostSteps != run.lost {
					t.Errorf("%s: %d steps trained, %d of them lost, %d by the accounts; %d make a run", e.Item.ID, run.executed, run.lost, e.LostSteps,
						e.Item.TotalSteps)
				}
				if e.Failures != 0 || e.Preemptions != e.Attempts-1 {
					t.Errorf("%s: %d preemptions and %d failures in %d attempts", e.Item.ID, e.Preemptions, e.Failures, e.Attempts)
				}
				near(t, e.Item.ID+": the goodput", sum(e.Goodput), e.WallSeconds)
				near(t, e.Item.ID+": training", e.Goodput["training"], h.trained[e.Item.Run])
				training += e.Goodput["training"]
			}
			near(t, "the sweep's goodput", sum(r.Goodput), r.WallSeconds)
			near(t, "the sweep's training", r.Goodput["training"], training)
			if slots := r.WallSeconds - r.Goodput["queued"]; slots > 8*took.Seconds() {
				t.Errorf("%g s of slots on 8 hosts in %v", slots, took)
			}
		})
	}
	if preemptions < least {
		t.Errorf("only %d preemptions", preemptions)
	}
	t.Logf("%d preemptions", preemptions)
}

func sum(goodput map[string]float64) float64 {
	s := 0.0
	for _, x := range goodput {
		s += x
	}
	return s
}

// near is within 1%, and 1 s.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.01*want+1 {
		t.Errorf("%s: %g s, want %g s", what, got, want)
	}
}

// A budget of hours ends the study on time, with all that was committed kept.
func TestBudgetHours(t *testing.T) {
	r, h, took := playStudy(t, 1, 30*time.Minute, map[string]any{"budget_hours": 3})
	if r.Status != study.StatusStopped || took < 3*time.Hour || took > 3*time.Hour+10*time.Minute {
		t.Errorf("%s after %v", r.Status, took)
	}
	stopped := 0
	for _, e := range r.Experiments {
		if e.Item.SameAs != "" {
			continue
		}
		if e.Status == study.StatusStopped {
			stopped++
		}
		if run := h.runs[e.Item.Run]; run != nil && e.CommittedStep > run.committed {
			t.Errorf("%s: %d steps by the books, %d in the store", e.Item.ID, e.CommittedStep, run.committed)
		}
	}
	if stopped == 0 || stopped+r.Done < 17 {
		t.Errorf("%d stopped, %d done", stopped, r.Done)
	}
}
