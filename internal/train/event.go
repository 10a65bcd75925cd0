package train

import "encoding/json"

// Exit codes of the training process: how it tells its parent what to do next.
const (
	ExitDone      = 0 // finished
	ExitFailed    = 1 // worth another attempt
	ExitUsage     = 2 // the spec or the command line is wrong: final
	ExitPreempted = 3 // told to stop, saved, stopped
	ExitFenced    = 4 // another attempt owns the run now: final for this attempt
	ExitFinal     = 5 // NaN, out of memory, every checkpoint bad: final
	ExitBusy      = 6 // another process holds the device: nothing is wrong with the run, another attempt may find it free
)

// What a training process is doing, for Event.State.
const (
	StateStarting   = BucketStarting
	StateCompiling  = BucketCompiling
	StateRestoring  = BucketRestoring
	StateTraining   = BucketTraining
	StateSaving     = BucketSaving
	StateEvaluating = BucketEvaluating
)

// Event types.
const (
	EventProgress   = "progress"
	EventEval       = "eval"
	EventCheckpoint = "checkpoint"
	EventRestored   = "restored"
	EventNotice     = "notice"  // a preemption notice arrived
	EventStorage    = "storage" // storage is failing or has recovered
	EventInterval   = "interval"
	EventResult     = "result" // the last line of a process that ended well or was preempted; see Result
	EventError      = "error"  // the last line of one that did not: ExitCode and Message
)

// Event is one line of the training process's standard output.
type Event struct {
	Type  string `json:"type"`
	State string `json:"state,omitempty"`

	Step          int64 `json:"step"`
	Total         int64 `json:"total"`
	CommittedStep int64 `json:"committed_step"`
	RestoredFrom  int64 `json:"restored_from_step,omitempty"`

	Loss              float64 `json:"loss,omitempty"`    // per row of the batch
	LMLoss            float64 `json:"lm_loss,omitempty"` // per row of the batch
	Accuracy          float64 `json:"accuracy,omitempty"`
	ExactAccuracy     float64 `json:"exact_accuracy,omitempty"`
	CellAccuracy      float64 `json:"cell_accuracy,omitempty"`
	BestExactAccuracy float64 `json:"best_exact_accuracy"`
	LR                float64 `json:"lr,omitempty"`
	Puzzles           int     `json:"puzzles,omitempty"`
	DonePuzzles       int     `json:"done_puzzles,omitempty"`

	StepsPerSecond float64            `json:"steps_per_second,omitempty"`
	ETASeconds     float64            `json:"eta_seconds,omitempty"`
	Goodput        map[string]float64 `json:"goodput,omitempty"` // seconds of this process per bucket

	Seconds float64 `json:"seconds,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Message string  `json:"message,omitempty"`

	ExitCode int `json:"exit_code,omitempty"` // of EventError
}

// JSON is the event as one line without its line break.
func (e Event) JSON() []byte {
	b, err := json.Marshal(e)
	if err != nil { // NaN or infinity in a number: say so rather than lose the line
		e = Event{Type: e.Type, State: e.State, Step: e.Step, Total: e.Total, CommittedStep: e.CommittedStep,
			Message: "event with a number that JSON cannot hold: " + err.Error()}
		b, _ = json.Marshal(e)
	}
	return b
}
