package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/study"
)

// ExperimentType is the name of the workflow Experiment.
const ExperimentType = "Experiment"

// ExperimentInput is one experiment. Users give Experiment (and perhaps the
// rest of the sweep's input); sweeps give Item.
type ExperimentInput struct {
	Experiment     string      `json:"experiment,omitempty"`
	Seed           int64       `json:"seed,omitempty"`
	Profile        string      `json:"profile,omitempty"`
	Overrides      []string    `json:"overrides,omitempty"`
	Force          bool        `json:"force,omitempty"`
	Priority       int         `json:"priority,omitempty"`
	StopOnCollapse bool        `json:"stop_on_collapse,omitempty"`
	Timeouts       Timeouts    `json:"timeouts,omitzero"`
	Paused         bool        `json:"paused,omitempty"` // begin with a pause
	Item           *study.Item `json:"item,omitempty"`
	Sweep          string      `json:"sweep,omitempty"` // workflow id of the sweep that hears of it: see study.Standing

	Restarts        int                     `json:"restarts,omitempty"`         // see study.Standing
	EveryEvaluation bool                    `json:"every_evaluation,omitempty"` // the sweep hears of evaluations too
	Known           *study.RunStatus        `json:"known,omitempty"`            // what the store had when the sweep looked
	Carried         *study.ExperimentResult `json:"carried,omitempty"`          // from before a continue-as-new, or a retry by the sweep
}

// Offered are the fields that users give.
func (*ExperimentInput) Offered() any { return &study.ExperimentInput{} }

// Timeouts of the training activity; zero values mean the defaults.
type Timeouts struct {
	Heartbeat time.Duration `json:"heartbeat,omitempty"` // 30 s
	Backoff   time.Duration `json:"backoff,omitempty"`   // 5 s, before a retry after a failure
}

// faults are values that the server would refuse at every attempt, or wait for for ever.
func (t Timeouts) faults() []string {
	var faults []string
	for _, d := range []time.Duration{t.Heartbeat, t.Backoff} {
		if d < 0 || d > 24*time.Hour {
			faults = append(faults, fmt.Sprintf("input: timeouts: %s (0 to 24h)", d))
		}
	}
	return faults
}

// experimentState is the state of one Experiment workflow.
type experimentState struct {
	in     ExperimentInput
	faults []string // of the input
	res    study.ExperimentResult

	command string // the last command that ends an attempt or a wait and is not obeyed yet: skip, stop or retry
	paused  bool
	refused string // why the last signal with a command changed nothing

	attempt     *attempt           // the one that is asked for or runs; nil between attempts
	living      []study.LivingHost // as asked for lately; nil: ask
	asked       []string           // hosts at which the attempt that is due has waited in vain
	lastAttempt time.Time          // when the last attempt that has ended began, by the clock of its host
	lastStep    int64              // of the running attempt, as it said last
	attributes  searchAttributes
	told        study.Told // what the sweep knows
}

// attempt is one training activity.
type attempt struct {
	asked     time.Time // for a host
	cancel    workflow.CancelFunc
	cancelled bool // by a command; it saves and ends
	requeue   bool // it was cancelled only to get another place in the hosts' queue
	noSlot    bool // the host that it was sent to had no slot, or was gone
	number    int  // from 1, of those that a host has taken
}

// hasCommand says whether the user wants something that the loop over attempts must answer.
func (x *experimentState) hasCommand() bool { return x.paused || x.command != "" }

// cancelAttempt asks the running attempt, if there is one, to save and end.
func (x *experimentState) cancelAttempt() {
	if x.attempt != nil {
		x.attempt.cancelled = true
		x.attempt.cancel()
	}
}
