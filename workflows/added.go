package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/study"
)

// addSeeds plans experiments with more seeds and starts them.
func (s *sweep) addSeeds(ctx workflow.Context, c study.Command) ([]string, error) {
	var names []string
	for _, i := range s.rowsOf(c) {
		if e := s.res.Experiments[i].Item.Experiment; !slices.Contains(names, e) {
			names = append(names, e)
		}
	}
	in := s.in.SweepInput
	in.Profile, in.Seeds, in.Phases, in.Experiments = s.res.Profile, c.Seeds, nil, nil
	p, err := planStep(ctx, activities.PlanInput{Names: names, Input: in, SeedIDs: true})
	if err != nil {
		return nil, err
	}
	byRun := map[string]string{} // run -> ID of the row that trains it
	for _, r := range s.res.Experiments {
		if r.Item.SameAs == "" {
			byRun[r.Item.Run] = r.Item.ID
		}
	}
	added := []string{}
	for _, it := range p.Items {
		if _, there := s.index[it.ID]; there {
			continue
		}
		if it.SameAs = byRun[it.Run]; it.SameAs == "" {
			byRun[it.Run] = it.ID
		} else if s.res.Experiments[s.index[it.SameAs]].Item.Experiment == it.Experiment {
			continue // the sweep has this seed under another ID
		}
		s.begin(s.add([]study.Item{it})[0])
		added = append(added, it.ID)
	}
	s.show(ctx)
	return added, nil
}

// begin starts a new row that trains.
func (s *sweep) begin(i int) {
	if s.res.Experiments[i].Item.SameAs != "" {
		return
	}
	s.launched[i] = true
	s.launch(func(ctx workflow.Context) { s.alone(ctx, i, nil) })
}

// extend adds experiments that go on from the ends of others with more epochs.
func (s *sweep) extend(ctx workflow.Context, c study.Command) ([]string, error) {
	added := []string{}
	for _, i := range s.rowsOf(c) {
		from := s.res.Experiments[i].Item
		var to study.Item
		err := workflow.ExecuteActivity(light(ctx, fmt.Sprintf("extend %s to %d epochs", from.ID, c.Epochs)), acts.Extend,
			activities.ExtendInput{Item: from, Epochs: c.Epochs}).Get(ctx, &to)
		if err != nil {
			return added, err
		}
		if _, there := s.index[to.ID]; there {
			continue
		}
		j := s.add([]study.Item{to})[0]
		added = append(added, to.ID)
		s.goOnLater(i, j)
	}
	s.show(ctx)
	return added, nil
}

// goOnLater runs goOn beside the sweep.
func (s *sweep) goOnLater(from, to int) {
	s.launched[to] = true
	s.in.Extends[s.res.Experiments[to].Item.ID] = s.res.Experiments[from].Item.ID
	s.launch(func(ctx workflow.Context) { s.goOn(ctx, from, to) })
}

// goOn waits for the end of one experiment, hands its last checkpoint to another, and runs that.
func (s *sweep) goOn(ctx workflow.Context, from, to int) {
	gen := s.revived[to]
	err := workflow.Await(ctx, func() bool {
		return study.Over(s.res.Experiments[from].Status) || study.Over(s.res.Experiments[to].Status)
	})
	r := &s.res.Experiments[to]
	delete(s.in.Extends, r.Item.ID)
	if s.revived[to] != gen || study.Over(r.Status) {
		return // the user has decided otherwise
	}
	if err != nil {
		r.Status = study.StatusStopped
		return
	}
	in := activities.ForkInput{From: s.res.Experiments[from].Item, To: r.Item}
	if err := workflow.ExecuteActivity(light(ctx, "hand over the checkpoint of "+in.From.ID), acts.Fork, in).Get(ctx, nil); err != nil {
		s.res.Experiments[to].Status, s.res.Experiments[to].Error = study.StatusFailed, rootMessage(err)
		s.show(ctx)
		return
	}
	var carried *study.ExperimentResult
	if s.in.Force { // the checkpoint that it has just got is not one to forget
		row := s.res.Experiments[to]
		carried = &row
	}
	s.alone(ctx, to, carried)
}

// alone runs one row without a phase: one that was added or started again while the sweep runs.
func (s *sweep) alone(ctx workflow.Context, i int, carried *study.ExperimentResult) {
	gen := s.revived[i]
	if n := s.in.Parallelism; n > 0 {
		by := workflow.GetVersion(ctx, "revived-is-not-busy", workflow.DefaultVersion, 2)
		for s.busy(by) >= n {
			if workflow.Await(ctx, func() bool { return s.busy(by) < n }) != nil {
				break
			}
		}
	}
	if s.revived[i] != gen || study.Over(s.res.Experiments[i].Status) {
		return // the user has decided otherwise
	}
	s.begun[i], s.solo[i] = true, true
	child := startExperiment(ctx, s.phaseInput(s.res.Experiments[i].Item.Phase), s.res.Experiments[i].Item, start{known: s.known[i], carried: carried})
	if row := endExperiment(ctx, child, s.res.Experiments[i]); s.revived[i] == gen {
		s.res.Experiments[i], s.solo[i] = row, false
	}
	s.show(ctx)
}
