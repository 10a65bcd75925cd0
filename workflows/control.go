package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/experiment"
	"trmsweep/internal/study"
)

// handlers answers the sweep's query and updates and takes its experiments' rows in.
func (s *sweep) handlers(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (study.SweepResult, error) { return s.res, nil }); err != nil {
		return err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateControl, func(ctx workflow.Context, raw json.RawMessage) ([]string, error) {
		c, err := study.DecodeCommand(raw)
		if err != nil {
			return nil, err
		}
		return s.control(ctx, c)
	}, workflow.UpdateHandlerOptions{Validator: s.validate})
	if err != nil {
		return err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		ch := workflow.GetSignalChannel(ctx, SignalRows)
		for {
			var rows []study.ExperimentResult
			ch.Receive(ctx, &rows)
			for ok := true; ok; ok = ch.ReceiveAsync(&rows) {
				for _, r := range rows {
					if i, known := s.index[r.Item.ID]; known && s.res.Experiments[i].Status != study.StatusDone {
						s.res.Experiments[i] = r
						s.halve(ctx, i)
					}
				}
				rows = nil
			}
			s.show(ctx)
		}
	})
	return nil
}

// validate refuses a control before it enters the history.
func (s *sweep) validate(raw json.RawMessage) error {
	c, err := study.DecodeCommand(raw)
	if err != nil {
		return err
	}
	if len(s.res.Experiments) == 0 {
		return errors.New("the sweep is still planning; try again in a moment")
	}
	if s.closed {
		return errors.New("the sweep is ending; start it again to go on")
	}
	for _, e := range c.Experiments {
		if len(s.find(e)) == 0 {
			ids := make([]string, len(s.res.Experiments))
			for i, r := range s.res.Experiments {
				ids[i] = r.Item.ID
			}
			return fmt.Errorf("no experiment %q in this sweep; the nearest is %q", e, experiment.Nearest(e, ids))
		}
	}
	return nil
}

// find is the rows of an experiment's name or ID; a shared run leads to the one that trains.
func (s *sweep) find(name string) []int {
	var out []int
	for i, r := range s.res.Experiments {
		if r.Item.ID != name && r.Item.Experiment != name {
			continue
		}
		if r.Item.SameAs != "" {
			i = s.index[r.Item.SameAs]
		}
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

// rowsOf are the rows that a control is about: all that train where it names none.
func (s *sweep) rowsOf(c study.Command) []int {
	var rows []int
	for _, e := range c.Experiments {
		for _, i := range s.find(e) {
			if !slices.Contains(rows, i) {
				rows = append(rows, i)
			}
		}
	}
	if len(c.Experiments) == 0 {
		for i, r := range s.res.Experiments {
			if r.Item.SameAs == "" {
				rows = append(rows, i)
			}
		}
	}
	return rows
}

// control does what the user wants and returns whom it reached.
func (s *sweep) control(ctx workflow.Context, c study.Command) ([]string, error) {
	switch c.Action {
	case study.ActionAddSeeds:
		return s.addSeeds(ctx, c)
	case study.ActionExtend:
		return s.extend(ctx, c)
	case study.ActionPriority:
		if len(c.Experiments) == 0 {
			s.in.Priority = c.Priority
		}
	case study.ActionStop:
		s.closed = s.closed || len(c.Experiments) == 0
	}
	reached := []string{}
	for _, i := range s.rowsOf(c) {
		id := s.res.Experiments[i].Item.ID
		if c.Action == study.ActionRetry && study.Over(s.res.Experiments[i].Status) {
			if s.revive(i) {
				reached = append(reached, id)
			}
			continue
		}
		if s.tell(ctx, i, c) {
			reached = append(reached, id)
		}
	}
	s.show(ctx)
	return reached, nil
}

// tell passes a wish on: to the experiment, to its phase if it has not begun, or to its row if no phase has it yet.
func (s *sweep) tell(ctx workflow.Context, i int, c study.Command) bool {
	r := &s.res.Experiments[i]
	id := r.Item.ID
	if study.Over(r.Status) || c.Action == study.ActionResume && !s.in.Held[id] || c.Action == study.ActionRetry && !s.begun[i] {
		return false
	}
	s.remember(id, c)
	if !s.begun[i] {
		r.Status, r.Reason = c.StatusBeforeStart(r.Status), c.Reason
		return true
	}
	c.Experiments = []string{id}
	experiment := fmt.Sprintf("%s/%s/%s", s.res.Sweep, r.Item.Phase, id)
	if workflow.SignalExternalWorkflow(ctx, experiment, "", SignalControl, c).Get(ctx, nil) == nil {
		return true
	}
	phase := s.phaseOf[i]
	return phase != "" && workflow.SignalExternalWorkflow(ctx, phase, "", SignalControl, c).Get(ctx, nil) == nil
}

// remember keeps what must still hold when the experiment begins, or begins again.
func (s *sweep) remember(id string, c study.Command) {
	switch c.Action {
	case study.ActionPause:
		s.in.Held[id] = true
	case study.ActionPriority:
		s.in.Priorities[id] = c.Priority
	default:
		delete(s.in.Held, id)
	}
}

// revive starts a failed, skipped or stopped experiment again, with a new budget
// of failures, from its last checkpoint.
func (s *sweep) revive(i int) bool {
	r := &s.res.Experiments[i]
	if r.Status == study.StatusDone {
		return false
	}
	r.Status, r.Error, r.Reason, r.WithoutCommit, r.Failures = study.StatusQueued, "", "", 0, 0
	if !s.launched[i] {
		return true // the next round takes it
	}
	carried := *r
	carried.ToForget = r.ToForget || s.in.Force && r.Attempts == 0
	s.revived[i]++
	s.begun[i], s.solo[i] = false, false
	s.launch(func(ctx workflow.Context) { s.alone(ctx, i, &carried) })
	return true
}
