package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"trmsweep/workflows"
)

// newControlCmds are pause, resume, skip, retry, stop and cancel.
func newControlCmds(a *app) []*cobra.Command {
	return []*cobra.Command{newPauseCmd(a), newResumeCmd(a), newSkipCmd(a), newRetryCmd(a), newStopCmd(a), newCancelCmd(a)}
}

func newPauseCmd(a *app) *cobra.Command {
	return controlCmd(a, workflows.ActionPause, "Checkpoint and hold experiments (none named: all)", false)
}

func newResumeCmd(a *app) *cobra.Command {
	return controlCmd(a, workflows.ActionResume, "Go on with paused experiments (none named: all)", false)
}

func newSkipCmd(a *app) *cobra.Command {
	return controlCmd(a, workflows.ActionSkip, "Checkpoint experiments and leave them out", true)
}

func newRetryCmd(a *app) *cobra.Command {
	return controlCmd(a, workflows.ActionRetry, "Start a new attempt of experiments that are still in the sweep", true)
}

func newStopCmd(a *app) *cobra.Command {
	return controlCmd(a, workflows.ActionStop, "Checkpoint experiments after the running step and end them (none named: all)", false)
}

// controlCmd sends one action to a sweep as a validated Update.
func controlCmd(a *app, action, short string, named bool) *cobra.Command {
	var sweep string
	var asJSON bool
	args := cobra.ArbitraryArgs
	use := action + " [EXPERIMENT...]"
	if named {
		args, use = cobra.MinimumNArgs(1), action+" EXPERIMENT..."
	}
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		return withSweep(ctx, a, sweep, func(c client.Client, id string) error {
			h, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: id, UpdateName: workflows.UpdateControl,
				WaitForStage: client.WorkflowUpdateStageCompleted, Args: []any{workflows.Control{Action: action, Experiments: args}}})
			if err != nil {
				return fmt.Errorf("%s %s: %w", action, id, err)
			}
			var reached []string
			if err := h.Get(ctx, &reached); err != nil {
				return fmt.Errorf("%s %s: %w", action, id, err)
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"sweep": id, "action": action, "experiments": reached})
			}
			fmt.Fprintf(a.stdout, "%s: %s reached %d experiments: %s\n", id, action, len(reached), strings.Join(reached, ", "))
			return nil
		})
	}}
	cmd.Flags().StringVar(&sweep, "sweep", "", "workflow id of the sweep (default: the newest)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCancelCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cancel [SWEEP-ID]",
		Short: "Checkpoint and end a whole sweep (default: the newest); starting it again continues",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return withSweep(ctx, a, strings.Join(args, ""), func(c client.Client, id string) error {
				if err := c.CancelWorkflow(ctx, id, ""); err != nil {
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func withSweep(ctx context.Context, a *app, id string, do func(client.Client, string) error) error {
	c, err := dial(ctx, a)
	if err != nil {
		return err
	}
	defer c.Close()
	if id == "" {
		if id, err = newestSweep(ctx, c); err != nil {
			return err
		}
	}
	return do(c, id)
}
