package workflows

import (
	"trmsweep/internal/study"
)

// row is one experiment of a sweep.
type row struct {
	result   study.ExperimentResult
	stage    stage
	known    *study.RunStatus // what the store had when the sweep looked
	paused   bool             // by the user; it begins with a pause
	priority int              // of its own; 0 = the sweep's
	extends  *row             // for whose end it waits; only in stageExtending
	phase    string           // workflow id of the phase that has it; only in stagePhase
	restarts int              // of the sweep, by a retry: what was begun before must not change the row any more
}

// stage says who has a row. The stages and how a row goes from one to another:
//
//	            a round begins              the phase ends
//	pending ----------------------> phase -----------------+
//	                                                        v
//	added, extended or retried                            ended
//	      |                                                 ^ |
//	      |          it gets a slot           it ends       | | retry
//	      +--> waiting ------------> alone -----------------+ |
//	             ^  ^                                          |
//	             |  +------------------------------------------+
//	extending ---+
//	  the other experiment has ended, its checkpoint is handed over
//
// A row that is shared never leaves its stage. A command can end a row in every other stage
// (its status says so): a pending row stays pending then, so that a retry puts it in the next round.
type stage int

const (
	stagePending   stage = iota // the next round takes it
	stageShared                 // another row trains its run
	stageExtending              // it waits for the end of the experiment that it goes on from
	stageWaiting                // it was added or started again, and waits for a slot
	stageAlone                  // it runs as a child of the sweep
	stagePhase                  // a phase runs it, or keeps it until it has a slot
	stageEnded                  // whatever ran it has ended
)

// newRow is the row of an item that nobody has started.
func newRow(it study.Item) *row {
	r := &row{result: study.ExperimentResult{Item: it, Status: study.StatusQueued}}
	if it.SameAs != "" {
		r.stage = stageShared
	}
	return r
}

func (r *row) id() string { return r.result.Item.ID }

func (r *row) over() bool { return study.Over(r.result.Status) }

// trains says whether the row has a run of its own.
func (r *row) trains() bool { return r.stage != stageShared }

// pending says whether the next round takes the row.
func (r *row) pending() bool { return r.stage == stagePending && !r.over() }

// begun says whether a phase or a child workflow has or had the row; commands go there.
func (r *row) begun() bool {
	switch r.stage {
	case stageAlone, stagePhase, stageEnded:
		return true
	}
	return false
}

// enterPhase gives the row to a phase.
func (r *row) enterPhase(workflowID string) {
	r.stage = stagePhase
	r.phase = workflowID
}

// leave takes the row from whatever had it, unless it was started again since.
func (r *row) leave(restarts int) {
	if r.restarts == restarts {
		r.stage = stageEnded
		r.phase = ""
		r.extends = nil
	}
}

// waitForSlot makes the row one that the sweep runs alone.
func (r *row) waitForSlot() {
	r.stage = stageWaiting
	r.phase = ""
	r.extends = nil
}

// waitForEnd makes the row one that goes on from the end of another.
func (r *row) waitForEnd(from *row) {
	r.stage = stageExtending
	r.extends = from
}

// remember keeps what a command wants of the time when the experiment begins, or begins again.
func (r *row) remember(c study.Command) {
	switch c.Action {
	case study.ActionPause:
		r.paused = true
	case study.ActionPriority:
		r.priority = c.Priority
	default:
		r.paused = false
	}
}

// reset clears a failed, skipped or stopped row, with a new budget of failures.
func (r *row) reset() {
	r.result.Status = study.StatusQueued
	r.result.Error = ""
	r.result.Reason = ""
	r.result.Interrupted = false
	r.result.Committed()
}

// forPhase is the row as a phase or a child workflow begins with it.
func (r *row) forPhase() PhaseRow {
	return PhaseRow{Item: r.result.Item, Known: r.known, Paused: r.paused, Priority: r.priority, Restarts: r.restarts}
}

// carriedRow is what a continue-as-new keeps of a row beside its result.
type carriedRow struct {
	Paused   bool   `json:"paused,omitempty"`
	Priority int    `json:"priority,omitempty"`
	Extends  string `json:"extends,omitempty"` // ID of the experiment for whose end it waits
}

// carry is what a continue-as-new must keep. Nothing runs then: every row is pending, shared, ended or extending.
func (r *row) carry() carriedRow {
	c := carriedRow{Paused: r.paused, Priority: r.priority}
	if r.stage == stageExtending {
		c.Extends = r.extends.id()
	}
	return c
}
