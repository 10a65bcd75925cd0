package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/ask"
	"trmsweep/internal/hint"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// newControlCmds steer a running sweep.
func newControlCmds(a *app) []*cobra.Command {
	return []*cobra.Command{newPauseCmd(a), newResumeCmd(a), newSkipCmd(a), newRetryCmd(a), newStopCmd(a), newPriorityCmd(a),
		newAddSeedsCmd(a), newExtendCmd(a), newCancelCmd(a)}
}

func newPauseCmd(a *app) *cobra.Command {
	return controlCmd(a, study.ActionPause, "Checkpoint and hold experiments (none named: all)", false)
}

func newResumeCmd(a *app) *cobra.Command {
	return controlCmd(a, study.ActionResume, "Go on with paused experiments (none named: all)", false)
}

func newSkipCmd(a *app) *cobra.Command {
	return controlCmd(a, study.ActionSkip, "Checkpoint experiments and leave them out", true)
}

func newRetryCmd(a *app) *cobra.Command {
	return controlCmd(a, study.ActionRetry, "Start failed, skipped or stopped experiments of a running sweep again", true)
}

func newStopCmd(a *app) *cobra.Command {
	return controlCmd(a, study.ActionStop, "Checkpoint experiments after the running step and end them (none named: all)", false)
}

func newPriorityCmd(a *app) *cobra.Command {
	var c study.Command
	cmd := &cobra.Command{Use: "priority [EXPERIMENT...]", Short: "Move waiting experiments in the hosts' queue (none named: all)",
		Args: cobra.ArbitraryArgs}
	cmd.Flags().IntVar(&c.Priority, "to", 0, "1 (first) to 5 (last)")
	needs(cmd, "to", func() error {
		if c.Priority < 1 || c.Priority > 5 {
			return usagef("--to %d: want 1 (first) to 5 (last)", c.Priority)
		}
		return nil
	})
	return controlled(a, cmd, study.ActionPriority, &c)
}

func newAddSeedsCmd(a *app) *cobra.Command {
	var c study.Command
	cmd := &cobra.Command{Use: "add-seeds [EXPERIMENT...]", Short: "Train experiments with more seeds too (none named: all)",
		Args: cobra.ArbitraryArgs}
	cmd.Flags().Int64SliceVar(&c.Seeds, "seeds", nil, "the seeds to add")
	needs(cmd, "seeds", func() error {
		if slices.ContainsFunc(c.Seeds, func(s int64) bool { return s < 0 }) {
			return usagef("--seeds %v: want 0 or more", c.Seeds)
		}
		return nil
	})
	return controlled(a, cmd, study.ActionAddSeeds, &c)
}

func newExtendCmd(a *app) *cobra.Command {
	var c study.Command
	cmd := &cobra.Command{Use: "extend EXPERIMENT...", Short: "Go on with experiments, as new ones, to more epochs",
		Args: cobra.MinimumNArgs(1)}
	cmd.Flags().IntVar(&c.Epochs, "epochs", 0, "epochs in all")
	needs(cmd, "epochs", func() error { return atLeast(cmd, 1, "epochs") })
	return controlled(a, cmd, study.ActionExtend, &c)
}

// needs makes a missing flag, or one that check refuses, the user's fault.
func needs(cmd *cobra.Command, flag string, check func() error) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed(flag) {
			return usagef("%s needs --%s; `%s --help` says how to call it", cmd.Name(), flag, cmd.CommandPath())
		}
		return check()
	}
}

// controlCmd is a command that sends an action without more to say.
func controlCmd(a *app, action, short string, named bool) *cobra.Command {
	cmd := &cobra.Command{Use: action + " [EXPERIMENT...]", Short: short, Args: cobra.ArbitraryArgs}
	if named {
		cmd.Use, cmd.Args = action+" EXPERIMENT...", cobra.MinimumNArgs(1)
	}
	return controlled(a, cmd, action, &study.Command{})
}

// controlled makes a command send its control to a sweep as a validated Update.
func controlled(a *app, cmd *cobra.Command, action string, c *study.Command) *cobra.Command {
	var sweep string
	var asJSON bool
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		c.Action, c.Experiments = action, args
		return withSweep(ctx, a, sweep, func(s sweepClient) error {
			reached, err := s.control(ctx, *c)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"sweep": s.id, "action": action, "experiments": reached})
			}
			if len(reached) == 0 {
				return fmt.Errorf("%s: %s reached no experiment: none of them is in a state for it; `trmsweep status %s` shows how they stand",
					s.id, action, s.id)
			}
			fmt.Fprintf(a.stdout, "%s: %s reached %d experiments: %s\n", s.id, action, len(reached), strings.Join(reached, ", "))
			return nil
		})
	}
	cmd.Flags().StringVar(&sweep, "sweep", "", "workflow id of the sweep (default: the newest)")
	addJSON(cmd.Flags(), &asJSON)
	return cmd
}

// reason is what a workflow or an activity said, without the server's wrapping.
func reason(err error) error {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return errors.New(app.Message())
	}
	return err
}

// controlWait is how long a command that a worker has accepted may take: some plan or copy first.
const controlWait = time.Minute

var errUnfinished = errors.New("a worker has accepted it, but it was not finished")

// control does what a command says and returns the experiments that it reached.
func (s sweepClient) control(ctx context.Context, u study.Command) ([]string, error) {
	if u.Action != study.ActionResume {
		return s.update(ctx, u)
	}
	freed, err := s.unpause(ctx, u.Experiments)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", u.Action, s.id, err)
	}
	reached, err := s.update(ctx, u)
	for _, w := range freed {
		if id := path.Base(w); !slices.Contains(reached, id) {
			reached = append(reached, id)
		}
	}
	if len(freed) > 0 { // that the workflow had nothing to resume is no error then
		return reached, nil
	}
	return reached, err
}

// update sends a command and returns the experiments that it reached. A sweep that has ended takes none.
func (s sweepClient) update(ctx context.Context, u study.Command) ([]string, error) {
	c, id := s.Client, s.id
	h, err := ask.Update(ctx, c, ask.Workflow{ID: id}, ask.Patience{}, workflows.UpdateControl, u)
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) || errors.Is(err, ask.ErrEnded) {
		start := "starting it again"
		if command := again(ctx, c, id); command != "" {
			start = "`" + command + "`"
		}
		return nil, fmt.Errorf("%s %s: no sweep of this id is running (%w); %s trains what is missing or failed", u.Action, id, err, start)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", u.Action, id, unanswered(reason(err)))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, controlWait, errUnfinished)
	defer cancel()
	var answer any
	err = h.Get(ctx, &answer)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errUnfinished):
		return nil, fmt.Errorf("%s %s: %w within %s; `trmsweep status %s` shows what becomes of it", u.Action, id, errUnfinished, controlWait,
			hint.Word(id))
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", u.Action, id, reason(err))
	}
	if _, alone := answer.(string); alone { // a single experiment says how it stands
		return []string{id}, nil
	}
	reached := []string{}
	list, _ := answer.([]any)
	for _, e := range list {
		reached = append(reached, fmt.Sprint(e))
	}
	return reached, nil
}

func newCancelCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cancel [SWEEP-ID]",
		Short: "Checkpoint and end a whole sweep (default: the newest); starting it again continues",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return withSweep(ctx, a, strings.Join(args, ""), func(s sweepClient) error {
				id := s.id
				err := s.CancelWorkflow(ctx, id, "")
				var gone *serviceerror.NotFound
				if errors.As(err, &gone) {
					return fmt.Errorf("cancel %s: no sweep of this id is running (%w); `tctl workflow list` shows what there is", id, err)
				}
				if err != nil {
					return fmt.Errorf("cancel %s: %w", id, err)
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(map[string]string{"sweep": id, "action": "cancel"})
				}
				fmt.Fprintf(a.stdout, "%s was asked to checkpoint and end\n", id)
				return nil
			})
		},
	}
	addJSON(cmd.Flags(), &asJSON)
	return cmd
}

// sweepClient is a client with the sweep, or the experiment, that a command is about.
type sweepClient struct {
	client.Client
	namespace string
	id        string // of the workflow
}

func withSweep(ctx context.Context, a *app, id string, do func(sweepClient) error) error {
	c, e, err := dialToChange(ctx, a)
	if err != nil {
		return err
	}
	defer c.Close()
	if id == "" {
		if id, err = newestSweep(ctx, c); err != nil {
			return err
		}
	}
	return do(sweepClient{c, e.Namespace, id})
}
