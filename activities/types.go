package activities

import (
	"fmt"
	"time"

	"trmsweep/internal/protocol"
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

// PlanInput asks for the runs of a sweep.
type PlanInput struct {
	Names []string   `json:"names"` // sweeps, phases, experiments
	Input SweepInput `json:"input"`
	Sweep string     `json:"sweep"` // workflow id
	// SeedIDs names items by their seeds even where there is only one.
	SeedIDs bool `json:"seed_ids,omitempty"`
	// Faults were found before; Plan adds its own and fails.
	Faults []string `json:"faults,omitempty"`
}

// Item is one experiment with one seed: small enough for a thousand in a payload.
// The resolved spec lies in the store under SpecKey.
type Item struct {
	Experiment     string  `json:"experiment"`
	Phase          string  `json:"phase"`
	ID             string  `json:"id"` // last part of the workflow id: the experiment, with -s<seed> where there are several
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

// Plan is what a sweep will run, valid as a whole.
type Plan struct {
	Profile string `json:"profile"`
	Code    string `json:"code"` // version of the code that planned
	Items   []Item `json:"items"`
}

// TrainInput is one attempt at one run.
type TrainInput struct {
	Item    Item `json:"item"`
	Attempt int  `json:"attempt"`
	Force   bool `json:"force,omitempty"`
	// Forget: no attempt has said yet that it has forgotten what the store has of the run.
	Forget bool `json:"forget,omitempty"`
}

// Progress is where a run stands: heartbeat details, progress signal and error details.
type Progress struct {
	Step              int64            `json:"step"`
	Total             int64            `json:"total"`
	CommittedStep     int64            `json:"committed_step"`
	RestoredFrom      int64            `json:"restored_from_step"`
	Loss              float64          `json:"loss"`
	ExactAccuracy     float64          `json:"exact_accuracy"` // of training batches
	BestExactAccuracy float64          `json:"best_exact_accuracy"`
	EvalStep          int64            `json:"eval_step,omitempty"` // of the last evaluation
	EvalExact         float64          `json:"eval_exact_accuracy,omitempty"`
	StepsPerSecond    float64          `json:"steps_per_second,omitempty"`
	ETASeconds        float64          `json:"eta_seconds,omitempty"`
	State             string           `json:"state"`
	Goodput           protocol.Goodput `json:"goodput,omitempty"` // seconds of this attempt's process
	StartedAt         time.Time        `json:"started_at"`
	Host              string           `json:"host"`
	Note              string           `json:"note,omitempty"`      // storage trouble and notices
	Forgotten         bool             `json:"forgotten,omitempty"` // this attempt has emptied the run before it began
}

// LossText and BestText are for people: "-" before there is a loss or an evaluation.
func (p Progress) LossText() string {
	if p.Loss == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", p.Loss)
}

// BestText is the best exact accuracy in percent; see LossText. A run that is taken
// as it is has State "done" and was evaluated, though nobody says when.
func (p Progress) BestText() string {
	if p.EvalStep == 0 && p.BestExactAccuracy == 0 && p.State != "done" {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", 100*p.BestExactAccuracy)
}

// TrainResult is an attempt that finished its run.
type TrainResult struct {
	Progress     Progress `json:"progress"`
	StateSHA256  string   `json:"state_sha256"`
	LedgerSHA256 string   `json:"ledger_sha256"`
}

// RunStatus is what the store knows of a run.
type RunStatus struct {
	Finished          bool    `json:"finished"` // result.json is there and belongs to the spec
	CommittedStep     int64   `json:"committed_step"`
	Epoch             int64   `json:"epoch"`           // fence
	Owner             string  `json:"owner,omitempty"` // workflow id of the attempt that took the fence last
	Steps             int64   `json:"steps"`
	BestExactAccuracy float64 `json:"best_exact_accuracy"`
	Loss              float64 `json:"loss,omitempty"` // end of the loss curve
	StateSHA256       string  `json:"state_sha256,omitempty"`
	Error             string  `json:"error,omitempty"` // why the run cannot be used, in StatusAll
}

// DatasetInput names the specs whose datasets must exist.
type DatasetInput struct {
	SpecKeys []string `json:"spec_keys"`
}

// DatasetResult lists the datasets, by content hash.
type DatasetResult struct {
	Hashes []string `json:"hashes"`
	Built  int      `json:"built"`
}

// ReportInput asks for the report over the items that are finished.
type ReportInput struct {
	Sweep    string                         `json:"sweep"`
	Items    []Item                         `json:"items"`
	Failures map[string]string              `json:"failures,omitempty"` // item ID -> error
	Stopped  map[string]string              `json:"stopped,omitempty"`  // item ID -> why it was ended early
	Goodput  protocol.Goodput               `json:"goodput,omitempty"`
	Books    map[string]protocol.Accounting `json:"books,omitempty"` // item ID -> where its slot's time went
	Final    bool                           `json:"final"`
}

// ReportResult says where the report lies in the store.
type ReportResult struct {
	Keys []string `json:"keys"`
}
