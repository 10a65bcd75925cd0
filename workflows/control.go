package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"
)

// handlers answers the sweep's query and updates and takes its experiments' rows in.
func (s *sweep) handlers(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (SweepResult, error) { return s.res, nil }); err != nil {
		return err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateControl, s.control, workflow.UpdateHandlerOptions{Validator: s.validate})
	if err != nil {
		return err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		ch := workflow.GetSignalChannel(ctx, SignalRows)
		for {
			var rows []ExperimentResult
			ch.Receive(ctx, &rows)
			for ok := true; ok; ok = ch.ReceiveAsync(&rows) {
				for _, r := range rows {
					if i, known := s.index[r.Item.ID]; known && s.res.Experiments[i].Status != StatusDone {
						s.res.Experiments[i] = r
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
func (s *sweep) validate(c Control) error {
	if err := validAction(c.Action, StatusPaused); err != nil {
		return err
	}
	if len(s.plan.Items) == 0 {
		return fmt.Errorf("the sweep is still planning; try again in a moment")
	}
	for _, e := range c.Experiments {
		if len(s.find(e)) == 0 {
			ids := make([]string, len(s.plan.Items))
			for i, it := range s.plan.Items {
				ids[i] = it.ID
			}
			return fmt.Errorf("no experiment %q in this sweep; the nearest is %q", e, nearest(e, ids))
		}
	}
	return nil
}

// find is the rows of an experiment's name or ID; a shared run leads to the one that trains.
func (s *sweep) find(name string) []int {
	var out []int
	for i, it := range s.plan.Items {
		if it.ID != name && it.Experiment != name {
			continue
		}
		if it.SameAs != "" {
			i = s.index[it.SameAs]
		}
		out = append(out, i)
	}
	return out
}

// control passes the wish on to the experiments and returns whom it reached.
func (s *sweep) control(ctx workflow.Context, c Control) ([]string, error) {
	var rows []int
	for _, e := range c.Experiments {
		rows = append(rows, s.find(e)...)
	}
	if len(c.Experiments) == 0 {
		for i, it := range s.plan.Items {
			if it.SameAs == "" {
				rows = append(rows, i)
			}
		}
	}
	var reached []string
	for _, i := range rows {
		r := s.res.Experiments[i]
		if over(r.Status) {
			continue
		}
		id := fmt.Sprintf("%s/%s/%s", s.res.Sweep, r.Item.Phase, r.Item.ID)
		if err := workflow.SignalExternalWorkflow(ctx, id, "", SignalControl, Control{Action: c.Action}).Get(ctx, nil); err == nil {
			reached = append(reached, r.Item.ID)
		}
	}
	return reached, nil
}

// show publishes the sweep's live table, counts and time left.
func (s *sweep) show(ctx workflow.Context) {
	s.res.Tally()
	workflow.SetCurrentDetails(ctx, s.res.details())
	now := visible{status: s.res.Status, goodput: share(s.res.Goodput, s.res.WallSeconds)}
	for _, r := range s.res.Experiments {
		now.best = max(now.best, r.Progress.BestExactAccuracy)
		if r.Item.SameAs == "" {
			now.step += r.Progress.Step
			now.preemptions += int64(r.Preemptions)
		}
	}
	if now == s.shown {
		return
	}
	s.shown = now
	err := workflow.UpsertTypedSearchAttributes(ctx, attrSweep.ValueSet(s.res.Sweep), attrStatus.ValueSet(now.status), attrBest.ValueSet(now.best),
		attrStep.ValueSet(now.step), attrPreemptions.ValueSet(now.preemptions), attrGoodput.ValueSet(now.goodput))
	if err != nil {
		workflow.GetLogger(ctx).Warn("search attributes", "error", err)
	}
}

// visible are the search attributes of a sweep.
type visible struct {
	status            string
	step, preemptions int64
	best, goodput     float64
}
