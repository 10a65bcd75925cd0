package study

import "strings"

// How the server says that a workflow stands, in words for people.
const (
	ServerRunning    = "running"
	ServerCompleted  = "completed"
	ServerFailed     = "failed"
	ServerCancelled  = "cancelled"
	ServerTerminated = "terminated"
	ServerTimedOut   = "timed out"
)

// End is how the server says that a workflow has ended, with what the workflow itself could say.
type End struct {
	// How is ServerCompleted and so on; ServerRunning: it was waited for in vain; empty: it never began.
	How     string            `json:"how,omitempty"`
	Message string            `json:"message,omitempty"` // of a failure
	Result  *ExperimentResult `json:"result,omitempty"`  // of an experiment; one that was terminated or timed out has none
}

// Phrase is the end as the end of a sentence about the phase or the experiment.
func (e End) Phrase() string {
	switch e.How {
	case ServerFailed:
		return strings.TrimSuffix("failed: "+e.Message, ": ")
	case ServerTimedOut:
		return "timed out"
	}
	return "was " + e.How
}

// After is the row of an experiment that has ended. The table of what becomes of it:
//
//	completed           | what the experiment says
//	failed              | failed, with its error
//	timed out           | failed
//	cancelled           | stopped, interrupted, with its last checkpoint
//	terminated          | stopped, interrupted; what was known of it last
//	waited for in vain  | stopped, interrupted
//	never began         | stopped, interrupted
func (r ExperimentResult) After(e End) ExperimentResult {
	if e.Result != nil {
		item := r.Item
		r = *e.Result
		r.Item = item
	}
	switch e.How {
	case ServerCompleted:
		return r
	case ServerFailed:
		r.fail(e.Message)
	case ServerTimedOut:
		r.fail("the experiment timed out")
	case ServerRunning:
		r.Interrupt("the experiment does not end")
	case "":
		r.Interrupt("")
	default:
		r.Interrupt("the experiment " + e.Phrase())
	}
	return r
}

// fail ends the row with an error.
func (r *ExperimentResult) fail(message string) {
	r.Status = StatusFailed
	r.Error = message
	r.Rest()
}

// Interrupt ends the row for a reason that is neither its own nor a command: it should have been trained, and is not.
func (r *ExperimentResult) Interrupt(reason string) {
	r.Status = StatusStopped
	r.Reason = reason
	r.Interrupted = true
	r.Rest()
}

// Because gives a reason to a row that was only asked to end: whoever asked knows it better than the experiment.
func (r *ExperimentResult) Because(reason string) {
	asked := r.Reason == "" || r.Reason == "the experiment was cancelled" || r.Reason == "the phase was cancelled"
	if r.Interrupted && asked {
		r.Reason = reason
	}
}

// Rest forgets the speed of what does not run any more.
func (r *ExperimentResult) Rest() {
	r.Progress.ETASeconds = 0
	r.Progress.StepsPerSecond = 0
}

// Ended is the status of a sweep of which all rows have ended.
func (s *SweepResult) Ended() string {
	for _, r := range s.Experiments {
		if r.Status == StatusFailed || r.Interrupted {
			return StatusIncomplete
		}
	}
	return StatusDone
}

// Settle makes the result of a sweep, or of something else that has rows, say what the server says of its workflow. One
// that was terminated or has timed out could not say it itself: its rows have ended, or end without it, for that reason.
func (s *SweepResult) Settle(what, how string) {
	if how == ServerRunning {
		s.Tally()
		return
	}
	s.Stage = ""
	if how != ServerCompleted {
		s.cutOff(what, how)
	}
	s.Tally()
	s.ETASeconds = 0
	s.ETALow = 0
	s.ETAHigh = 0
}

// cutOff is Settle for what has not completed.
func (s *SweepResult) cutOff(what, how string) {
	speechless := how == ServerTerminated || how == ServerTimedOut
	if speechless || !Over(s.Status) {
		s.Status = how
	}
	for i := range s.Experiments {
		r := &s.Experiments[i]
		if r.Status == StatusQueued || r.Status == StatusPaused {
			r.Interrupt("")
		}
		r.Because(what + " " + End{How: how}.Phrase())
	}
}
