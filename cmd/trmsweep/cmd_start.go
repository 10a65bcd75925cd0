package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"trmsweep/internal/ask"
	"trmsweep/internal/blob"
	"trmsweep/internal/endpoint"
	"trmsweep/internal/hint"
	"trmsweep/internal/queues"
	"trmsweep/internal/request"
	"trmsweep/internal/study"
	"trmsweep/worker"
	"trmsweep/workflows"
)

// dial connects a command to the server; a server that is down is an error within seconds.
func dial(ctx context.Context, a *app) (client.Client, error) {
	c, _, err := worker.Dial(ctx, a.server(), "", quietLogger(), 3*time.Second)
	return c, err
}

// dialToChange is dial for commands that change something: it prints which server they change.
func dialToChange(ctx context.Context, a *app) (client.Client, endpoint.Endpoint, error) {
	c, e, err := worker.Dial(ctx, a.server(), "", quietLogger(), 3*time.Second)
	if err == nil {
		fmt.Fprintf(a.stderr, "trmsweep: on %s\n", e)
	}
	return c, e, err
}

func newStartCmd(a *app) *cobra.Command {
	var in study.SweepInput
	var id string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "start SWEEP|EXPERIMENT",
		Short: "Start a sweep (AllAblations, TNSweep, BatchSweep) or one experiment",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return start(cmd.Context(), a, args[0], id, in, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&id, "id", "", "workflow id (default: the sweep's name)")
	fl.StringVar(&in.Profile, "profile", "", "smoke, laptop, paper (default: the worker's)")
	fl.StringSliceVar(&in.Phases, "phases", nil, "only these phases")
	fl.StringSliceVar(&in.Experiments, "experiments", nil, "only these experiments")
	fl.Int64SliceVar(&in.Seeds, "seeds", nil, "train every experiment with these seeds")
	addSets(fl, &in.Overrides)
	fl.IntVar(&in.Parallelism, "parallelism", 0, "experiments of a phase at once, paused ones included (0 = as many as there are hosts)")
	fl.IntVar(&in.Priority, "priority", 0, "1 (first) to 5 (0 = 3)")
	fl.Float64Var(&in.BudgetHours, "budget-hours", 0, "stop with checkpoints after so many hours (0 = never)")
	fl.BoolVar(&in.Force, "force", false, "train again what is finished")
	addPreflight(fl, &in.Preflight)
	fl.BoolVar(&in.StopOnCollapse, "stop-on-collapse", false, "end an experiment whose accuracy has fallen to half of a best long past")
	fl.IntVar(&in.Halving, "halving", 0, "at 1/8, 1/4 and 1/2 of the steps let only the best 1/N experiments go on (0 = all)")
	addJSON(fl, &asJSON)
	return cmd
}

// checkInput finds what is wrong with a sweep's input before anything is started.
func checkInput(a *app, name string, in study.SweepInput) error {
	if faults := in.Faults(); len(faults) > 0 {
		return usagef("%s", strings.Join(faults, "; "))
	}
	files, err := a.configs()
	if err != nil {
		return err
	}
	if err := request.Sweep(files, name, in); err != nil {
		return usageError{err}
	}
	if slices.Contains(workflows.Types, name) {
		return nil
	}
	chosen := len(in.Seeds) > 1 || len(in.Phases) > 0 || len(in.Experiments) > 0
	limited := in.Parallelism > 0 || in.BudgetHours > 0 || in.Halving > 0
	if chosen || limited || in.Preflight != "" {
		return usagef("start %s: --seeds (more than one), --phases, --experiments, --parallelism, --halving, --budget-hours and --preflight "+
			"belong to sweeps (AllAblations, TNSweep, BatchSweep); `trmsweep preflight %s` runs the checks for one experiment", name, name)
	}
	return nil
}

func start(ctx context.Context, a *app, name, id string, in study.SweepInput, asJSON bool) error {
	if err := checkInput(a, name, in); err != nil {
		return err
	}
	if id == "" {
		id = name
	}
	if err := checkID(id); err != nil {
		return err
	}
	c, _, err := dialToChange(ctx, a)
	if err != nil {
		return err
	}
	defer c.Close()
	var input any = in
	kind := name
	if !slices.Contains(workflows.Types, name) {
		kind = workflows.ExperimentType
		e := study.ExperimentInput{
			Experiment:     name,
			Profile:        in.Profile,
			Overrides:      in.Overrides,
			Force:          in.Force,
			Priority:       in.Priority,
			StopOnCollapse: in.StopOnCollapse,
		}
		if len(in.Seeds) == 1 {
			e.Seed = in.Seeds[0]
		}
		input = e
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: queues.Workflows, StaticSummary: name,
		WorkflowExecutionErrorWhenAlreadyStarted: true}, kind, input)
	var there *serviceerror.WorkflowExecutionAlreadyStarted
	already := errors.As(err, &there)
	if already {
		run, err = c.GetWorkflow(ctx, id, there.RunId), sameStart(ctx, c, id, kind, input)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	if !a.embedded { // the worker of `run` is only just starting
		warnNoWorker(ctx, a, c)
	}
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(struct {
			ID      string `json:"workflow_id"`
			Run     string `json:"run_id"`
			Type    string `json:"type"`
			Already bool   `json:"already_running,omitempty"`
		}{run.GetID(), run.GetRunID(), kind, already})
	}
	what := "is running"
	if already {
		what = "runs already, with what it was started with,"
	}
	fmt.Fprintf(a.stdout, "%s %s as %s (run %s); follow it with `%s`\n", name, what, run.GetID(), run.GetRunID(),
		a.given().Command("trmsweep status "+hint.Word(run.GetID())+" --follow"))
	return nil
}

// warnNoWorker warns if nobody would run what was started.
func warnNoWorker(ctx context.Context, a *app, c client.Client) {
	if l, err := ask.Listening(ctx, c, queues.Workflows, ask.Starting); err == nil && l.Count == 0 {
		fmt.Fprintf(a.stderr, "trmsweep: no worker listens on task queue %q: the workflow waits until one starts (%s)\n", l.Queue,
			a.given().Complete("`trmsweep worker`"))
	}
}

// checkID refuses ids that the server does not take or that no report can be stored under.
func checkID(id string) error {
	if strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		return usagef("--id %q: want printable ASCII", id)
	}
	if err := blob.CheckKey(id); err != nil {
		return usagef("--id %q: %w", id, err)
	}
	return nil
}

// sweepTypes are the workflow types that end with a report.
var sweepTypes = []string{workflows.AllAblationsType, workflows.TNSweepType, workflows.BatchSweepType}

// newestSweep is the id of the sweep that started last.
func newestSweep(ctx context.Context, c client.Client) (string, error) {
	types := "'" + strings.Join(sweepTypes, "','") + "'"
	for _, state := range []string{" AND ExecutionStatus = 'Running'", ""} {
		resp, err := c.ListWorkflow(ctx, listRequest("WorkflowType IN ("+types+")"+state))
		if err != nil {
			return "", fmt.Errorf("list sweeps: %w", err)
		}
		if len(resp.Executions) > 0 {
			return resp.Executions[0].Execution.WorkflowId, nil
		}
	}
	return "", fmt.Errorf("no sweep was started yet; `trmsweep start AllAblations` starts one")
}
