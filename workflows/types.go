package workflows

import (
	"fmt"
	"time"

	"trmsweep/activities"
	"trmsweep/internal/preflight"
)

// Names of the workflow types, as users start them.
const (
	AllAblationsType      = "AllAblations"
	TNSweepType           = "TNSweep"
	BatchSweepType        = "BatchSweep"
	PhaseType             = "Phase"
	ExperimentType        = "Experiment"
	DatasetGenerationType = "DatasetGeneration"
	PreflightType         = "Preflight"
)

// Types are the workflow types that users start.
var Types = []string{AllAblationsType, TNSweepType, BatchSweepType, ExperimentType, DatasetGenerationType, PreflightType}

// Limits of the retry policy.
const (
	// MaxWithoutProgress attempts in a row that commit no new step end an experiment.
	MaxWithoutProgress = 5
	// MaxFailures attempts that fail for other reasons than preemption end an experiment.
	MaxFailures = 3
)

// Statuses of an experiment.
const (
	StatusQueued  = "queued"
	StatusRunning = "running"
	StatusPaused  = "paused"
	StatusDone    = "done"
	StatusFailed  = "failed"
	StatusSkipped = "skipped"
	StatusStopped = "stopped"
)

// Names of queries, signals and updates.
const (
	QueryProgress  = "progress"
	SignalControl  = "control"  // Control, from a sweep to its experiments and phases
	SignalProgress = "progress" // activities.Progress, from an attempt to its experiment
	SignalRows     = "rows"     // []ExperimentResult, from experiments and phases to their sweep
	UpdateControl  = "control"
)

// ExperimentInput is one experiment. Users give Experiment (and perhaps the
// rest of the sweep's input); sweeps give Item.
type ExperimentInput struct {
	Experiment     string                `json:"experiment,omitempty"`
	Seed           int64                 `json:"seed,omitempty"`
	Profile        string                `json:"profile,omitempty"`
	Overrides      []string              `json:"overrides,omitempty"`
	Force          bool                  `json:"force,omitempty"`
	Priority       int                   `json:"priority,omitempty"`
	Item           *activities.Item      `json:"item,omitempty"`
	Sweep          string                `json:"sweep,omitempty"` // workflow id of the sweep that hears of progress
	Timeouts       Timeouts              `json:"timeouts,omitzero"`
	Quiet          bool                  `json:"quiet,omitempty"`      // tell the sweep of changes of status only
	TellEvals      bool                  `json:"tell_evals,omitempty"` // tell the sweep of every evaluation
	Paused         bool                  `json:"paused,omitempty"`     // begin with a pause
	StopOnCollapse bool                  `json:"stop_on_collapse,omitempty"`
	Known          *activities.RunStatus `json:"known,omitempty"`   // what the store had when the sweep looked
	Carried        *ExperimentResult     `json:"carried,omitempty"` // what came before a continue-as-new
}

// Timeouts of the training activity; zero values mean the defaults.
type Timeouts struct {
	Heartbeat time.Duration `json:"heartbeat,omitempty"` // 30 s
	Backoff   time.Duration `json:"backoff,omitempty"`   // 5 s, before a retry after a failure
}

// faults are what the server would refuse at every attempt, or wait for for ever.
func (t Timeouts) faults() []string {
	var faults []string
	for _, d := range []time.Duration{t.Heartbeat, t.Backoff} {
		if d < 0 || d > 24*time.Hour {
			faults = append(faults, fmt.Sprintf("input: timeouts: %s (0 to 24h)", d))
		}
	}
	return faults
}

// ExperimentResult is where an experiment stands or how it ended.
type ExperimentResult struct {
	Item          activities.Item     `json:"item"`
	Status        string              `json:"status"`
	Error         string              `json:"error,omitempty"`
	Reason        string              `json:"reason,omitempty"`    // of the sweep for stopping it
	BestStep      int64               `json:"best_step,omitempty"` // evaluation with the best accuracy that this sweep has seen
	Best          float64             `json:"best,omitempty"`
	Attempts      int                 `json:"attempts"`
	Preemptions   int                 `json:"preemptions"`
	Failures      int                 `json:"failures"`
	WithoutCommit int                 `json:"without_commit"`       // attempts in a row
	StartStep     int64               `json:"start_step,omitempty"` // committed before this sweep
	CommittedStep int64               `json:"committed_step"`
	LostSteps     int64               `json:"lost_steps"`
	Reused        bool                `json:"reused,omitempty"`    // was finished before
	ToForget      bool                `json:"to_forget,omitempty"` // forced, and what the store has of the run is still the old one's
	Progress      activities.Progress `json:"progress"`
	StateSHA256   string              `json:"state_sha256,omitempty"`
	Goodput       map[string]float64  `json:"goodput,omitempty"` // ledger, seconds; adds up to WallSeconds
	WallSeconds   float64             `json:"wall_seconds"`      // of the slot, from asking for it
}

// PhaseInput is one phase of a sweep, or a part of a long one.
type PhaseInput struct {
	Sweep string                  `json:"sweep"`
	Phase string                  `json:"phase"`
	Items []activities.Item       `json:"items"`
	Known []*activities.RunStatus `json:"known,omitempty"` // of Items: what the store had
	Input activities.SweepInput   `json:"input"`
	Code  string                  `json:"code,omitempty"` // version that planned the sweep
	Quiet bool                    `json:"quiet,omitempty"`
	// Held names the items that begin with a pause, Priorities those that have one of their own.
	Held       map[string]bool `json:"held,omitempty"`
	Priorities map[string]int  `json:"priorities,omitempty"`
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
	Goodput     map[string]float64 `json:"goodput,omitempty"` // sum of the experiments' ledgers, seconds
	WallSeconds float64            `json:"wall_seconds"`      // sum of the experiments'
	Reports     []string           `json:"reports,omitempty"` // keys in the store
	Notes       []string           `json:"notes,omitempty"`   // steps that could not be done
	ETASeconds  float64            `json:"eta_seconds,omitempty"`
	Hosts       int                `json:"hosts,omitempty"`           // most experiments that were seen at work at once
	ETALow      float64            `json:"eta_low_seconds,omitempty"` // 95% interval of the time left
	ETAHigh     float64            `json:"eta_high_seconds,omitempty"`
}
