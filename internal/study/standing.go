package study

import (
	"time"

	"trmsweep/internal/protocol"
)

// Standing is what goes up to a sweep from an experiment, or from the phase that runs it. It goes
// up only when it changes what the sweep decides by or what its page must not get wrong: the
// experiment begins, waits again, is paused or held up, ends, or has an evaluation that successive halving
// asks for. How far an attempt has come is in its heartbeats; nobody signals that.
type Standing struct {
	Restarts int              `json:"restarts,omitempty"` // of the row when the sweep handed it out
	Result   ExperimentResult `json:"result"`
}

// Told is what a sweep was told last of an experiment. A Standing that says the same is not sent.
type Told struct {
	Status   string
	Holdup   string // kind
	Attempt  int
	EvalStep int64
}

// fewAttempts is how many attempts a sweep gets to know one by one. Of more it gets every
// tenth, so that thousands of preemptions fit into its history.
const fewAttempts = 20

// ToTell is what a sweep must know of the experiment now. The end is not in it: whoever started
// the experiment sees that, also when the experiment cannot say it.
func (r *ExperimentResult) ToTell(before Told, evaluations bool) Told {
	now := Told{Status: r.Status, Holdup: r.HeldUp().Kind}
	switch now.Holdup {
	case protocol.HoldupNoSlot, protocol.HoldupPaused, protocol.HoldupBackoff: // the status says it, or it is over soon
		now.Holdup = ""
	}
	if evaluations {
		now.EvalStep = r.Progress.EvalStep
	}
	many := r.Attempts > fewAttempts
	switch {
	case Over(r.Status):
		return before
	case many && r.Status == StatusQueued:
		return before
	case many && r.Status == StatusRunning:
		now.Attempt = r.Attempts / 10
	}
	return now
}

// Supersedes says whether a row takes the standing in. One from before the row was started again
// says nothing any more, and signals may overtake each other: what has ended does not run again
// by itself.
func (s Standing) Supersedes(row ExperimentResult, restarts int) bool {
	if s.Restarts != restarts || row.Status == StatusDone {
		return false
	}
	return Over(s.Result.Status) || !Over(row.Status)
}

// Take takes in what the running attempt says. Until it has restored the run, what is known of the
// run is what the last attempt left.
func (r *ExperimentResult) Take(p Progress) {
	r.CommittedStep = max(r.CommittedStep, p.CommittedStep)
	if p.Step > 0 || r.Progress.Step == 0 {
		r.Progress = p
		return
	}
	r.Progress.Step = min(r.Progress.Step, r.CommittedStep)
	r.Progress.StartedAt = p.StartedAt
	r.Progress.Host = p.Host
	r.Progress.State = p.State
	r.Progress.Note = p.Note
	r.Progress.Holdup = p.Holdup
	r.Progress.Goodput = p.Goodput
	r.Progress.ETASeconds = 0
	r.Progress.StepsPerSecond = 0
}

// Saved takes in how far the store says that the run has come.
func (r *ExperimentResult) Saved(step int64) {
	r.CommittedStep = max(r.CommittedStep, step)
	r.Progress.CommittedStep = max(r.Progress.CommittedStep, step)
	r.Progress.Step = max(r.Progress.Step, step)
}

// During is the row with the time of the running attempt booked so far.
func (r ExperimentResult) During(asked, now time.Time) ExperimentResult {
	r.Goodput = added(nil, r.Goodput)
	r.Account(r.Progress, asked, now, true) // what is not committed yet is not lost yet
	return r
}
