// Package study holds what the workflows of a study decide by, without Temporal: the
// experiments of a sweep and where each stands, which commands are valid, when a hopeless
// experiment is stopped early, where the time of the slots went, and how long the rest will take.
//
// A sweep has one Item for each experiment and seed. Item says what to train and never
// changes; ExperimentResult is where its training stands, SweepResult where the sweep stands.
// Everything here is a function of these values: nothing reads files, clocks or the network,
// and nothing depends on the order of a map, so that workflows may call all of it.
package study

import (
	"fmt"
	"slices"
	"time"

	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
)

// Statuses of an experiment. A sweep has StatusRunning, StatusDone, StatusIncomplete, StatusFailed or StatusStopped.
const (
	StatusQueued  = "queued"
	StatusRunning = "running"
	StatusPaused  = "paused"
	StatusDone    = "done"
	StatusFailed  = "failed"
	StatusSkipped = "skipped"
	StatusStopped = "stopped"

	// StatusIncomplete is a sweep that has ended by itself with experiments that should have been trained and are not.
	StatusIncomplete = "incomplete"
)

// StageTraining is the SweepResult.Stage in which experiments train.
const StageTraining = "training"

// Over says whether nothing more will happen to an experiment of this status by itself.
func Over(status string) bool {
	switch status {
	case StatusDone, StatusFailed, StatusSkipped, StatusStopped:
		return true
	}
	return false
}

// Values of SweepInput.Preflight.
const (
	PreflightFull   = "full"   // the default
	PreflightChecks = "checks" // without trials
	PreflightNone   = "none"
)

// SweepInput is the optional JSON input of a sweep. Zero values mean the defaults.
type SweepInput struct {
	Profile     string   `json:"profile,omitempty"`      // default: the worker's
	Phases      []string `json:"phases,omitempty"`       // of the sweep's phases, only these
	Experiments []string `json:"experiments,omitempty"`  // of the sweep's experiments, only these
	Seeds       []int64  `json:"seeds,omitempty"`        // default: the configuration's
	Overrides   []string `json:"overrides,omitempty"`    // key=value
	Parallelism int      `json:"parallelism,omitempty"`  // experiments at once, 0 = as many as there are hosts
	Priority    int      `json:"priority,omitempty"`     // 1 (first) to 5, 0 = 3
	BudgetHours float64  `json:"budget_hours,omitempty"` // wall clock of the sweep, 0 = none
	Force       bool     `json:"force,omitempty"`        // train again what is finished
	Preflight   string   `json:"preflight,omitempty"`    // full (default), checks (without trials), none
	// StopOnCollapse ends an experiment whose accuracy has fallen to less than half of a best that is long past.
	StopOnCollapse bool `json:"stop_on_collapse,omitempty"`
	// Halving lets, at 1/8, 1/4 and 1/2 of their steps, only the best 1/Halving of the experiments go on; 0 = all.
	Halving int `json:"halving,omitempty"`
}

// ExperimentInput is what users give an experiment that they start alone. All of it is optional.
type ExperimentInput struct {
	Experiment     string   `json:"experiment,omitempty"` // default: the baseline
	Seed           int64    `json:"seed,omitempty"`       // default: the configuration's
	Profile        string   `json:"profile,omitempty"`    // default: the worker's
	Overrides      []string `json:"overrides,omitempty"`  // key=value
	Force          bool     `json:"force,omitempty"`      // train again what is finished
	Priority       int      `json:"priority,omitempty"`   // 1 (first) to 5, 0 = 3
	StopOnCollapse bool     `json:"stop_on_collapse,omitempty"`
	Timeouts       any      `json:"timeouts,omitempty"` // see workflows.Timeouts
}

// Sweep is the input as that of a sweep of one experiment.
func (in ExperimentInput) Sweep() SweepInput {
	out := SweepInput{
		Profile:        in.Profile,
		Overrides:      in.Overrides,
		Force:          in.Force,
		Priority:       in.Priority,
		StopOnCollapse: in.StopOnCollapse,
	}
	if in.Seed != 0 {
		out.Seeds = []int64{in.Seed}
	}
	return out
}

// Faults finds everything that is wrong with the input without looking at files.
func (in SweepInput) Faults() []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, "input: "+fmt.Sprintf(format, args...)) }
	if in.Parallelism < 0 {
		fault("parallelism %d (0 or more)", in.Parallelism)
	}
	const mostHours = 1e6 // a time.Duration holds 2.5 million
	inRange := in.BudgetHours >= 0 && in.BudgetHours <= mostHours
	if !inRange {
		fault("budget_hours %g (0 to %g)", in.BudgetHours, mostHours)
	}
	if in.Priority < 0 || in.Priority > 5 {
		fault("priority %d (0 to 5)", in.Priority)
	}
	if in.Halving < 0 || in.Halving == 1 {
		fault("halving %d (0, or 2 and more)", in.Halving)
	}
	if !slices.Contains([]string{"", PreflightFull, PreflightChecks, PreflightNone}, in.Preflight) {
		fault("preflight %q (full, checks, none)", in.Preflight)
	}
	return append(faults, seedFaults(in.Seeds)...)
}

func seedFaults(seeds []int64) []string {
	var faults []string
	for i, s := range seeds {
		if s < 0 {
			faults = append(faults, fmt.Sprintf("input: seed %d (0 or more)", s))
		}
		if slices.Contains(seeds[:i], s) {
			faults = append(faults, fmt.Sprintf("input: seed %d is given twice", s))
		}
	}
	return faults
}

// Item is one experiment with one seed: small enough for a thousand in a payload.
// The resolved spec lies in the store under SpecKey.
type Item struct {
	Experiment     string  `json:"experiment"`
	Phase          string  `json:"phase"`
	ID             string  `json:"id"` // last part of the workflow id: the experiment, with -s<seed> if there are several
	Run            string  `json:"run"`
	SpecHash       string  `json:"spec_hash"`
	SpecKey        string  `json:"spec_key"`
	Seed           int64   `json:"seed"`
	TotalSteps     int64   `json:"total_steps"`
	EstimatedHours float64 `json:"estimated_hours"` // on one v4 chip
	Reference      string  `json:"reference,omitempty"`
	Shape          string  `json:"shape,omitempty"`   // of the model: one trial per shape
	Batch          int     `json:"batch,omitempty"`   // rows of a training batch
	SameAs         string  `json:"same_as,omitempty"` // ID of the item whose run it shares
}

// Progress is where a run stands: heartbeat details, progress signal and error details.
type Progress struct {
	Step              int64            `json:"step"`
	Total             int64            `json:"total"`
	CommittedStep     int64            `json:"committed_step"`
	RestoredFrom      int64            `json:"restored_from_step"`
	Loss              float64          `json:"loss"`
	ExactAccuracy     float64          `json:"exact_accuracy"`         // of training batches
	BestExactAccuracy float64          `json:"best_exact_accuracy"`    // of the evaluations while training
	BestPuzzles       int              `json:"best_puzzles,omitempty"` // that it was measured on; 0: there was no evaluation yet
	EvalStep          int64            `json:"eval_step,omitempty"`    // of the last evaluation
	EvalExact         float64          `json:"eval_exact_accuracy,omitempty"`
	StepsPerSecond    float64          `json:"steps_per_second,omitempty"`
	ETASeconds        float64          `json:"eta_seconds,omitempty"`
	State             string           `json:"state"`
	Goodput           protocol.Goodput `json:"goodput,omitempty"` // seconds of this attempt's process
	StartedAt         time.Time        `json:"started_at"`
	Host              string           `json:"host"`
	Worker            string           `json:"worker,omitempty"`    // name of the worker on that host: see queues.WorkerName
	Note              string           `json:"note,omitempty"`      // storage trouble and notices
	Holdup            protocol.Holdup  `json:"holdup,omitzero"`     // what keeps the attempt from going on
	Killed            string           `json:"killed,omitempty"`    // how the process was killed, if nobody of ours did it
	Forgotten         bool             `json:"forgotten,omitempty"` // this attempt has emptied the run before it began
}

// RunStatus is what the store knows of a run.
type RunStatus struct {
	Finished      bool              `json:"finished"` // result.json is there and belongs to the spec
	CommittedStep int64             `json:"committed_step"`
	Term          int64             `json:"epoch"`           // fence
	Owner         string            `json:"owner,omitempty"` // workflow id of the attempt that took the fence last
	Steps         int64             `json:"steps"`
	Outcome       *protocol.Outcome `json:"outcome,omitempty"` // what result.json says
	StateSHA256   string            `json:"state_sha256,omitempty"`
	Error         string            `json:"error,omitempty"` // why the run cannot be used, in StatusAll
}

// ExperimentResult is where an experiment stands or how it ended.
type ExperimentResult struct {
	Item          Item              `json:"item"`
	Status        string            `json:"status"`
	Error         string            `json:"error,omitempty"`
	Reason        string            `json:"reason,omitempty"`         // why it was stopped, if no user's command did
	Interrupted   bool              `json:"interrupted,omitempty"`    // neither a command nor a rule stopped it: it should have been trained
	EvalBestStep  int64             `json:"eval_best_step,omitempty"` // best evaluation while training that this sweep has seen
	EvalBest      float64           `json:"eval_best_exact_accuracy,omitempty"`
	Attempts      int               `json:"attempts"`
	Preemptions   int               `json:"preemptions"`
	Failures      int               `json:"failures"`               // charged to the experiment since its last new checkpoint: see Judge
	FirstFailure  time.Time         `json:"first_failure,omitzero"` // the first of those
	WithoutCommit int               `json:"without_commit"`         // attempts in a row
	KilledAlike   int               `json:"killed_alike,omitempty"` // attempts in a row that were killed in one way, at one step:
	Killed        string            `json:"killed,omitempty"`       // the way
	KilledStep    int64             `json:"killed_step,omitempty"`  // the step
	Hosts         []HostRecord      `json:"hosts,omitempty"`        // where attempts have ended without success
	StartStep     int64             `json:"start_step,omitempty"`   // committed before this sweep
	CommittedStep int64             `json:"committed_step"`
	LostSteps     int64             `json:"lost_steps"`
	KeptSteps     int64             `json:"kept_steps,omitempty"` // of the attempts in Goodput, which those seconds have trained
	Reused        bool              `json:"reused,omitempty"`     // was finished before
	ToForget      bool              `json:"to_forget,omitempty"`  // forced, and what the store has of the run is still the old one's
	Progress      Progress          `json:"progress"`
	Outcome       *protocol.Outcome `json:"outcome,omitempty"` // of the finished run; nil before
	Holdup        protocol.Holdup   `json:"holdup,omitzero"`   // what holds it up, beside what the running attempt says; read HeldUp
	StateSHA256   string            `json:"state_sha256,omitempty"`
	Goodput       protocol.Goodput  `json:"goodput,omitempty"` // seconds in each bucket; they add up to WallSeconds
	WallSeconds   float64           `json:"wall_seconds"`      // of the slot, from asking for it
	Unheard       *Unheard          `json:"unheard,omitempty"` // of the last attempt, until the next one shows what became of it
}

// Accounting is where the time of the run went, as the sweep knows it. It knows nothing of a run that others
// have finished: an attempt that only found it so is not what the run cost.
func (r *ExperimentResult) Accounting() (slot protocol.Accounting, ok bool) {
	foundFinished := r.Status == StatusDone && r.Goodput[protocol.BucketTraining] == 0
	if r.WallSeconds == 0 || foundFinished {
		return slot, false
	}
	return protocol.Accounting{
		WallSeconds: r.WallSeconds,
		Goodput:     r.Goodput,
		FromStep:    r.StartStep,
		Preemptions: r.Preemptions,
		LostSteps:   r.LostSteps,
	}, true
}

// Reuse fills the row with what the store knows of the run. It is true if the run is finished.
func (r *ExperimentResult) Reuse(st RunStatus) bool {
	r.StartStep = st.CommittedStep
	r.CommittedStep = st.CommittedStep
	if st.Finished {
		r.Status = StatusDone
		r.Reused = true
		r.StateSHA256 = st.StateSHA256
		r.Outcome = st.Outcome
		r.Progress = Progress{
			Step:          st.Steps,
			Total:         r.Item.TotalSteps,
			CommittedStep: st.Steps,
			State:         StatusDone,
		}
	}
	return st.Finished
}

// Inherit makes the row done with what another experiment has finished. What this one has spent on the run stays its own.
func (r *ExperimentResult) Inherit(st RunStatus) {
	start := r.StartStep
	spent := r.WallSeconds > 0 && r.Goodput.Share(r.WallSeconds) > 0
	r.Reuse(st)
	if spent {
		r.StartStep = start
		r.Reused = false
	}
}

// LossText is the training loss for people: "-" before there is one.
func (r *ExperimentResult) LossText() string {
	loss := r.Progress.Loss
	if r.Outcome != nil {
		loss = r.Outcome.Loss
	}
	if loss == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", loss)
}

// BestText is the best exact accuracy for people: "-" before there is an evaluation. That of a
// run that trains is of a part of the test puzzles and says so, as in "14.06% of 64".
func (r *ExperimentResult) BestText() string {
	switch {
	case r.Outcome != nil:
		return r.Outcome.BestText()
	case r.Progress.BestPuzzles == 0:
		return "-"
	}
	return protocol.PartText(r.Progress.BestExactAccuracy, r.Progress.BestPuzzles)
}

// EndedEarly says why an experiment ended before its last step without a failure; it is empty if it did not.
func (r *ExperimentResult) EndedEarly() string {
	switch {
	case r.Status == StatusSkipped:
		return "skipped"
	case r.Status == StatusStopped && r.Interrupted:
		return fmt.Sprintf("%s, with step %d of %d saved", r.Reason, r.CommittedStep, r.Item.TotalSteps)
	case r.Status == StatusStopped && r.Reason != "":
		return r.Reason
	case r.Status == StatusStopped:
		return fmt.Sprintf("stopped with step %d of %d saved", r.CommittedStep, r.Item.TotalSteps)
	}
	return ""
}

// SweepResult is where a sweep stands or how it ended.
type SweepResult struct {
	Sweep       string             `json:"sweep"`
	Profile     string             `json:"profile"`
	Code        string             `json:"code,omitempty"` // version that planned
	Started     time.Time          `json:"started"`
	Preflight   []preflight.Row    `json:"preflight,omitempty"`
	Status      string             `json:"status"`
	Stage       string             `json:"stage,omitempty"` // what a running sweep does: planning, dataset, training, report
	Experiments []ExperimentResult `json:"experiments"`
	Done        int                `json:"done"`
	Failed      int                `json:"failed"`
	Goodput     protocol.Goodput   `json:"goodput,omitempty"` // sum of the experiments', seconds
	WallSeconds float64            `json:"wall_seconds"`      // sum of the experiments'
	Reports     []string           `json:"reports,omitempty"` // keys in the store
	Notes       []string           `json:"notes,omitempty"`   // steps that could not be done
	ETASeconds  float64            `json:"eta_seconds,omitempty"`
	Hosts       int                `json:"hosts,omitempty"`           // that train now; status asks the server which live
	ETALow      float64            `json:"eta_low_seconds,omitempty"` // 95% interval of the time left
	ETAHigh     float64            `json:"eta_high_seconds,omitempty"`
}
