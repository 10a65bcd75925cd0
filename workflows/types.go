package workflows

import (
	"fmt"
	"time"

	"trmsweep/internal/study"
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

// Names of queries, signals and updates.
const (
	QueryProgress  = "progress"
	SignalControl  = "control"  // study.Command, from a sweep to its experiments and phases
	SignalProgress = "progress" // study.Progress, from an attempt to its experiment
	SignalRows     = "rows"     // []study.ExperimentResult, from experiments and phases to their sweep
	UpdateControl  = "control"
)

// ExperimentInput is one experiment. Users give Experiment (and perhaps the
// rest of the sweep's input); sweeps give Item.
type ExperimentInput struct {
	Experiment     string                  `json:"experiment,omitempty"`
	Seed           int64                   `json:"seed,omitempty"`
	Profile        string                  `json:"profile,omitempty"`
	Overrides      []string                `json:"overrides,omitempty"`
	Force          bool                    `json:"force,omitempty"`
	Priority       int                     `json:"priority,omitempty"`
	Item           *study.Item             `json:"item,omitempty"`
	Sweep          string                  `json:"sweep,omitempty"` // workflow id of the sweep that hears of progress
	Timeouts       Timeouts                `json:"timeouts,omitzero"`
	Quiet          bool                    `json:"quiet,omitempty"`      // tell the sweep of changes of status only
	TellEvals      bool                    `json:"tell_evals,omitempty"` // tell the sweep of every evaluation
	Paused         bool                    `json:"paused,omitempty"`     // begin with a pause
	StopOnCollapse bool                    `json:"stop_on_collapse,omitempty"`
	Known          *study.RunStatus        `json:"known,omitempty"`   // what the store had when the sweep looked
	Carried        *study.ExperimentResult `json:"carried,omitempty"` // what came before a continue-as-new
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

// PhaseInput is one phase of a sweep, or a part of a long one.
type PhaseInput struct {
	Sweep string             `json:"sweep"`
	Phase string             `json:"phase"`
	Items []study.Item       `json:"items"`
	Known []*study.RunStatus `json:"known,omitempty"` // of Items: what the store had
	Input study.SweepInput   `json:"input"`
	Code  string             `json:"code,omitempty"` // version that planned the sweep
	Quiet bool               `json:"quiet,omitempty"`
	// Held names the items that begin with a pause, Priorities those that have one of their own.
	Held       map[string]bool `json:"held,omitempty"`
	Priorities map[string]int  `json:"priorities,omitempty"`
}
