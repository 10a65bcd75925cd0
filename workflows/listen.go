package workflows

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/study"
)

// handlers answers queries, updates and signals.
func (x *training) handlers(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (study.ExperimentResult, error) { return x.res, nil }); err != nil {
		return err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateControl, func(_ workflow.Context, raw json.RawMessage) (string, error) {
		c, err := study.DecodeCommand(raw)
		if err != nil {
			return "", err
		}
		x.act(c)
		return x.res.Status, nil
	}, workflow.UpdateHandlerOptions{Validator: func(raw json.RawMessage) error {
		c, err := study.DecodeCommand(raw)
		if err != nil {
			return err
		}
		return x.validate(c)
	}})
	if err != nil {
		return err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		ch := workflow.GetSignalChannel(ctx, SignalControl)
		for {
			var c study.Command
			ch.Receive(ctx, &c)
			if c.Validate() == nil && x.validate(c) == nil {
				x.act(c)
			}
		}
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		ch := workflow.GetSignalChannel(ctx, SignalProgress)
		for {
			var p study.Progress
			ch.Receive(ctx, &p)
			x.res.ToForget = x.res.ToForget && !p.Forgotten
			if x.late(p) && workflow.GetVersion(ctx, "late-progress", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
				continue
			}
			x.res.Progress = p
			if x.res.Status == study.StatusQueued {
				x.res.Status = study.StatusRunning
			}
			x.res.CommittedStep = max(x.res.CommittedStep, p.CommittedStep)
			x.watch(p)
			x.publish(ctx)
		}
	})
	return nil
}

// late says whether progress is older than what is known: signals may overtake each
// other, and those of an attempt may come after its end. What does not say when its
// attempt began is taken.
func (x *training) late(p study.Progress) bool {
	if p.StartedAt.IsZero() {
		return false
	}
	return p.StartedAt.Equal(x.ended) || p.StartedAt.Equal(x.res.Progress.StartedAt) && p.Step < x.res.Progress.Step
}

func (x *training) validate(c study.Command) error {
	switch {
	case c.Action == study.ActionAddSeeds || c.Action == study.ActionExtend:
		return fmt.Errorf("%s is for sweeps", c.Action)
	case len(c.Experiments) > 1 || len(c.Experiments) == 1 && c.Experiments[0] != x.res.Item.ID && c.Experiments[0] != x.res.Item.Experiment:
		return fmt.Errorf("this is %s, not %s", x.res.Item.ID, strings.Join(c.Experiments, ", "))
	case c.Action == study.ActionResume && !x.paused:
		return fmt.Errorf("it is %s, not paused", x.res.Status)
	}
	return nil
}

// act takes a wish in; a running attempt is asked to save and end where needed.
func (x *training) act(c study.Command) {
	switch c.Action {
	case study.ActionResume:
		x.paused = false
		x.res.Status = study.StatusQueued
		return
	case study.ActionPriority:
		x.in.Priority = c.Priority
		if x.res.Status != study.StatusQueued {
			return // the next attempt has it
		}
		x.requeue = x.stop != nil
	case study.ActionPause:
		x.paused = true
	default:
		x.wish, x.res.Reason = c.Action, c.Reason
		x.paused = false
	}
	if x.stop != nil {
		x.told = true
		x.stop()
	}
}
