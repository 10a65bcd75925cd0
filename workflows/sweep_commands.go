package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/internal/experiment"
	"trmsweep/internal/study"
)

// handlers registers the query and the update, and starts the handler of what experiments tell.
func (s *sweepState) handlers(ctx workflow.Context) error {
	if err := answerProgress(ctx, func() (study.SweepResult, error) { return s.result(), nil }); err != nil {
		return err
	}
	update := func(ctx workflow.Context, raw json.RawMessage) ([]string, error) {
		c, err := study.DecodeCommand(raw)
		if err != nil {
			return nil, err
		}
		return s.obey(ctx, c)
	}
	options := workflow.UpdateHandlerOptions{Description: controlText, Validator: s.validate}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateControl, update, options); err != nil {
		return err
	}
	workflow.Go(ctx, s.handleStandings)
	workflow.Go(ctx, s.handleSignals)
	return nil
}

// handleSignals obeys commands that come as signals, which is all that the Web UI can send. They do what updates do. Nobody
// waits for an answer: the sweep's notes say why a command was refused.
func (s *sweepState) handleSignals(ctx workflow.Context) {
	ch := workflow.GetSignalChannelWithOptions(ctx, SignalControl, aboutControl)
	for {
		var raw json.RawMessage
		ch.Receive(ctx, &raw)
		workflow.Go(ctx, func(ctx workflow.Context) {
			if workflow.Await(ctx, func() bool { return len(s.rows) > 0 }) != nil {
				return // cancelled while it planned
			}
			s.signals++
			defer func() { s.signals-- }()
			if err := s.obeySignal(ctx, raw); err != nil {
				s.note(fmt.Sprintf("the signal %s %s was refused: %s", SignalControl, raw, rootMessage(err)))
				s.show(ctx)
			}
		})
	}
}

func (s *sweepState) obeySignal(ctx workflow.Context, raw json.RawMessage) error {
	if err := s.validate(raw); err != nil {
		return err
	}
	c, err := study.DecodeCommand(raw)
	if err != nil {
		return err
	}
	reached, err := s.obey(ctx, c)
	if err == nil && len(reached) == 0 {
		err = fmt.Errorf("no experiment is where %s changes anything", c.Action)
	}
	return err
}

// handled says whether no command is being obeyed.
func (s *sweepState) handled(ctx workflow.Context) bool {
	return s.signals == 0 && workflow.AllHandlersFinished(ctx)
}

// handleStandings takes in what experiments and phases tell.
func (s *sweepState) handleStandings(ctx workflow.Context) {
	ch := workflow.GetSignalChannelWithOptions(ctx, SignalStanding, aboutStandings)
	for {
		var told study.Standing
		ch.Receive(ctx, &told)
		for more := true; more; more = ch.ReceiveAsync(&told) {
			r := s.byID[told.Result.Item.ID]
			if r != nil && told.Supersedes(r.result, r.restarts) {
				r.result = told.Result
				s.stopEarly(ctx, r)
			}
			told = study.Standing{}
		}
		s.show(ctx)
	}
}

// stopEarly stops a row that successive halving does not let go on.
func (s *sweepState) stopEarly(ctx workflow.Context, r *row) {
	if !r.trains() || r.over() {
		return
	}
	why := s.halving.Reached(r.result)
	if why == "" {
		return
	}
	s.note(r.id() + " " + why)
	workflow.Go(ctx, func(ctx workflow.Context) { s.send(ctx, r, study.Command{Action: study.ActionStop, Reason: why}) })
}

// validate refuses a command before it enters the history.
func (s *sweepState) validate(raw json.RawMessage) error {
	c, err := study.DecodeCommand(raw)
	if err != nil {
		return err
	}
	if len(s.rows) == 0 {
		return errors.New("the sweep is still planning; try again in a moment")
	}
	if s.closed {
		return errors.New("the sweep is ending; start it again to go on")
	}
	for _, name := range c.Experiments {
		if len(s.find(name)) > 0 {
			continue
		}
		ids := make([]string, len(s.rows))
		for i, r := range s.rows {
			ids[i] = r.id()
		}
		return fmt.Errorf("no experiment %q in this sweep%s", name, experiment.Suggest("; the nearest is %q", name, ids))
	}
	return nil
}

// obey does what a command wants and returns the IDs of the experiments that it reached.
func (s *sweepState) obey(ctx workflow.Context, c study.Command) ([]string, error) {
	all := len(c.Experiments) == 0
	switch {
	case c.Action == study.ActionAddSeeds:
		return s.addSeeds(ctx, c)
	case c.Action == study.ActionExtend:
		return s.extend(ctx, c)
	case c.Action == study.ActionPriority && all:
		s.in.Priority = c.Priority
	case c.Action == study.ActionStop && all:
		s.closed = true
	}
	reached := []string{}
	for _, r := range s.addressed(c) {
		var ok bool
		if c.Action == study.ActionRetry && r.over() {
			ok = s.restart(r)
		} else {
			ok = s.send(ctx, r, c)
		}
		if ok {
			reached = append(reached, r.id())
		}
	}
	s.show(ctx)
	return reached, nil
}

// send passes a command on: to the experiment, to its phase if it has not begun there, or to its
// row if no phase has it yet. It says whether the command reached anybody.
func (s *sweepState) send(ctx workflow.Context, r *row, c study.Command) bool {
	switch {
	case r.over():
		return false
	case c.Action == study.ActionResume && !r.paused:
		return false
	case c.Action == study.ActionRetry && !r.begun():
		return false
	}
	r.remember(c)
	if !r.begun() {
		r.result.Status = c.StatusBeforeStart(r.result.Status)
		r.result.Reason = c.Reason
		return true
	}
	c.Experiments = []string{r.id()}
	signal := func(id string) bool {
		return workflow.SignalExternalWorkflow(ctx, id, "", SignalControl, c).Get(ctx, nil) == nil
	}
	switch {
	case signal(experimentID(s.head.Sweep, r.result.Item)):
		return true
	case c.Action == study.ActionRetry:
		return s.restartWhenOver(ctx, r)
	}
	return r.stage == stagePhase && signal(r.phase)
}

// restartWhenOver starts an experiment again that has ended but for the news of it, which is on its way to the sweep.
func (s *sweepState) restartWhenOver(ctx workflow.Context, r *row) bool {
	const onItsWay = 10 * time.Second
	over, err := workflow.AwaitWithTimeout(ctx, onItsWay, r.over)
	return err == nil && over && s.restart(r)
}

// addSeeds plans experiments with more seeds and starts them.
func (s *sweepState) addSeeds(ctx workflow.Context, c study.Command) ([]string, error) {
	var names []string
	for _, r := range s.addressed(c) {
		if e := r.result.Item.Experiment; !slices.Contains(names, e) {
			names = append(names, e)
		}
	}
	in := s.in.SweepInput
	in.Profile = s.head.Profile
	in.Seeds = c.Seeds
	in.Phases = nil
	in.Experiments = nil
	p, err := plan(ctx, activities.PlanInput{Names: names, Input: in, SeedIDs: true})
	if err != nil {
		return nil, err
	}
	trains := map[string]*row{} // run -> the row that trains it
	for _, r := range s.rows {
		if r.trains() {
			trains[r.result.Item.Run] = r
		}
	}
	added := []string{}
	for _, it := range p.Items {
		if s.byID[it.ID] != nil {
			continue
		}
		it.SameAs = ""
		if other := trains[it.Run]; other != nil {
			if other.result.Item.Experiment == it.Experiment {
				continue // the sweep has this seed under another ID
			}
			it.SameAs = other.id()
		}
		r := s.add(it)[0]
		if r.trains() {
			trains[it.Run] = r
			s.startAlone(r)
		}
		added = append(added, it.ID)
	}
	s.show(ctx)
	return added, nil
}

// extend adds experiments that go on from the ends of others with more epochs.
func (s *sweepState) extend(ctx workflow.Context, c study.Command) ([]string, error) {
	added := []string{}
	for _, from := range s.addressed(c) {
		in := activities.ExtendInput{Item: from.result.Item, Epochs: c.Epochs}
		summary := fmt.Sprintf("extend %s to %d epochs", from.id(), c.Epochs)
		var it study.Item
		if err := workflow.ExecuteActivity(lightActivity(ctx, summary), acts.Extend, in).Get(ctx, &it); err != nil {
			return added, err
		}
		if s.byID[it.ID] != nil {
			continue
		}
		s.extendWhenOver(from, s.add(it)[0])
		added = append(added, it.ID)
	}
	s.show(ctx)
	return added, nil
}
