package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/study"
)

// sweepInput is the user's input and, after a continue-as-new, what came before.
type sweepInput struct {
	study.SweepInput
	Carried *study.SweepResult    `json:"carried,omitempty"`
	Rows    map[string]carriedRow `json:"rows,omitempty"`  // item ID -> what is more than nothing
	Rungs   map[int][]float64     `json:"rungs,omitempty"` // of successive halving: rung -> accuracies
}

// Offered are the fields that users give.
func (*sweepInput) Offered() any { return &study.SweepInput{} }

// sweepState is the state of one sweep workflow.
type sweepState struct {
	in      sweepInput
	faults  []string          // of the input
	head    study.SweepResult // all but the experiments: see result
	rows    []*row
	byID    map[string]*row
	halving study.Halving

	closed      bool // nothing new is started: stopped, or out of budget
	outOfBudget bool
	signals     int // commands that came as signals and are being obeyed

	training workflow.Context         // of everything that trains; nil outside of the stage training
	deferred []func(workflow.Context) // wait for training
	open     int                      // phases and experiments under way, and rows that wait for a slot or an end
	phases   map[string]bool          // workflow ids of phases so far

	attributes searchAttributes
}

// result is where the sweep stands.
func (s *sweepState) result() study.SweepResult {
	res := s.head
	res.Experiments = make([]study.ExperimentResult, len(s.rows))
	for i, r := range s.rows {
		res.Experiments[i] = r.result
	}
	res.Tally()
	return res
}

// add appends rows for items and returns them.
func (s *sweepState) add(items ...study.Item) []*row {
	var added []*row
	for _, it := range items {
		r := newRow(it)
		s.byID[it.ID] = r
		s.rows = append(s.rows, r)
		added = append(added, r)
	}
	return added
}

// pending are the rows that the next rounds take.
func (s *sweepState) pending() []*row {
	var rows []*row
	for _, r := range s.rows {
		if r.pending() {
			rows = append(rows, r)
		}
	}
	return rows
}

// extending is how many rows wait for the end of another experiment.
func (s *sweepState) extending() int {
	n := 0
	for _, r := range s.rows {
		if r.stage == stageExtending {
			n++
		}
	}
	return n
}

// find is the rows of an experiment's name or ID. A shared run leads to the row that trains it.
func (s *sweepState) find(name string) []*row {
	var found []*row
	for _, r := range s.rows {
		it := r.result.Item
		if it.ID != name && it.Experiment != name {
			continue
		}
		if !r.trains() {
			r = s.byID[it.SameAs]
		}
		if !slices.Contains(found, r) {
			found = append(found, r)
		}
	}
	return found
}

// addressed are the rows that a command is about: all that train if it names none.
func (s *sweepState) addressed(c study.Command) []*row {
	var rows []*row
	for _, name := range c.Experiments {
		for _, r := range s.find(name) {
			if !slices.Contains(rows, r) {
				rows = append(rows, r)
			}
		}
	}
	if len(c.Experiments) > 0 {
		return rows
	}
	for _, r := range s.rows {
		if r.trains() {
			rows = append(rows, r)
		}
	}
	return rows
}

// slotsInUse is the number of slots that are taken, of a sweep with parallelism. A phase gives
// the slot of an experiment that ends to its next one at once: it holds as many as it has
// experiments to go, up to the parallelism.
func (s *sweepState) slotsInUse() int {
	alone, inPhases := 0, 0
	for _, r := range s.rows {
		switch {
		case r.over():
		case r.stage == stageAlone:
			alone++
		case r.stage == stagePhase:
			inPhases++
		}
	}
	return alone + min(inPhases, s.in.Parallelism)
}

// note keeps what a user should know; failures of Temporal may be long.
func (s *sweepState) note(text string) {
	s.head.Notes = append(s.head.Notes, text[:min(len(text), 2000)])
}
