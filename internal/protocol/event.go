package protocol

import (
	"encoding/json"
	"fmt"
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
	EventNotice     = "notice"   // a preemption notice arrived
	EventStorage    = "storage"  // storage is failing or has recovered
	EventInterval   = "interval" // the steps between checkpoints were chosen anew
	EventResult     = "result"   // the last line of a process that ended well or was preempted; see AttemptResult
	EventError      = "error"    // the last line of one that did not: ExitCode, Fault and Message
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
	LMLoss            float64 `json:"lm_loss,omitempty"` // per row of the batch; this and the accuracies are of the last step that was logged
	Accuracy          float64 `json:"accuracy,omitempty"`
	ExactAccuracy     float64 `json:"exact_accuracy,omitempty"`
	CellAccuracy      float64 `json:"cell_accuracy,omitempty"`
	BestExactAccuracy float64 `json:"best_exact_accuracy"`    // of the evaluations while training
	BestPuzzles       int     `json:"best_puzzles,omitempty"` // that it was measured on; 0: there was no evaluation yet
	LR                float64 `json:"lr,omitempty"`
	Puzzles           int     `json:"puzzles,omitempty"`
	DonePuzzles       int     `json:"done_puzzles,omitempty"`

	StepsPerSecond float64            `json:"steps_per_second,omitempty"`
	ETASeconds     float64            `json:"eta_seconds,omitempty"`
	Goodput        map[string]float64 `json:"goodput,omitempty"` // seconds of this process per bucket

	Seconds float64 `json:"seconds,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Message string  `json:"message,omitempty"`
	Holdup  Holdup  `json:"holdup,omitzero"` // what the process waits for now

	ExitCode int   `json:"exit_code,omitempty"` // of EventError
	Fault    Fault `json:"fault,omitempty"`     // of EventError: whether it is the host's

	// Result is the whole of an EventResult that ParseEvent has read.
	Result *AttemptResult `json:"-"`
}

// AttemptResult is where a training process that trained to the end or was preempted
// has left the run. Its last line is this with the type EventResult.
type AttemptResult struct {
	Run              string   `json:"run"`
	Step             int64    `json:"step"`
	Total            int64    `json:"total"`
	CommittedStep    int64    `json:"committed_step"` // what the store holds
	Finished         bool     `json:"finished"`
	StateSHA256      string   `json:"state_sha256"`  // of all training state at Step
	BatchSHA256      string   `json:"ledger_sha256"` // of all batches fed so far
	RestoredFromStep int64    `json:"restored_from_step"`
	SpecHash         string   `json:"spec_hash"`
	Seed             int64    `json:"seed"`
	DatasetHash      string   `json:"dataset_hash"`
	Backend          string   `json:"backend"`
	Preempted        string   `json:"preempted,omitempty"` // the notice's reason
	Result           string   `json:"result,omitempty"`    // key of result.json
	Outcome          *Outcome `json:"outcome,omitempty"`   // what result.json says; nil if there is none yet
}

// JSON is the result as one line without its line break.
func (r AttemptResult) JSON() ([]byte, error) {
	b, err := json.Marshal(struct {
		Type string `json:"type"`
		AttemptResult
	}{EventResult, r})
	if err != nil {
		return nil, fmt.Errorf("encode the result of run %s: %w", r.Run, err)
	}
	return b, nil
}

// ParseEvent reads one line of a training process; false: the line is no event.
func ParseEvent(line []byte) (Event, bool) {
	var e Event
	if json.Unmarshal(line, &e) != nil || e.Type == "" {
		return Event{}, false
	}
	if e.Type == EventResult {
		e.Result = &AttemptResult{}
		if json.Unmarshal(line, e.Result) != nil {
			return Event{}, false
		}
	}
	return e, true
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
