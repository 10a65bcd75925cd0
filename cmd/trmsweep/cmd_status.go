package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"trmsweep/internal/ask"
	"trmsweep/internal/preflight"
	"trmsweep/internal/standing"
	"trmsweep/internal/study"
	"trmsweep/internal/terminal"
	"trmsweep/worker"
	"trmsweep/workflows"
)

func quietLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func listRequest(query string) *workflowservice.ListWorkflowExecutionsRequest {
	return &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 1}
}

func newStatusCmd(a *app) *cobra.Command {
	var asJSON, follow bool
	cmd := &cobra.Command{
		Use:   "status [SWEEP-ID]",
		Short: "Show where a sweep stands (default: the newest)",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, err := dial(ctx, a)
			if err != nil {
				return err
			}
			defer c.Close()
			var id string
			if len(args) > 0 {
				id = args[0]
			} else if id, err = newestSweep(ctx, c); err != nil {
				return err
			}
			return showStatus(ctx, a, c, id, asJSON, follow)
		},
	}
	addJSON(cmd.Flags(), &asJSON)
	cmd.Flags().BoolVar(&follow, "follow", false, "show it again every 2 seconds, on a terminal in place, until the sweep ends")
	return cmd
}

// followEvery is the time between two looks of --follow.
const followEvery = 2 * time.Second

// showStatus shows the status, with follow until the sweep ends: on a terminal in place.
func showStatus(ctx context.Context, a *app, c client.Client, id string, asJSON, follow bool) (err error) {
	screen := terminal.NewScreen(a.stdout, follow && !asJSON)
	defer func() { err = errors.Join(err, screen.Close()) }()
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		st, running, err := sweepStatus(ctx, a, c, id)
		if err != nil {
			return err
		}
		if asJSON && st.Experiments == nil { // a list for who reads it
			st.Experiments = []study.ExperimentResult{}
		}
		if asJSON {
			err = json.NewEncoder(a.stdout).Encode(st)
		} else {
			err = screen.Show(func(width int) []string { return a.completeLines(statusLines(st, width)) })
		}
		if err == nil && follow && running {
			err = screen.Wait(ctx, t.C)
		}
		if err != nil || !follow || !running || ctx.Err() != nil {
			return err
		}
	}
}

// sweepStatus asks the workflow how it stands, and the server for what the workflow cannot know: the heartbeats of what is
// training, and the ends that it has not heard of or could not say itself.
func sweepStatus(ctx context.Context, a *app, c client.Client, id string) (study.SweepResult, bool, error) {
	st := study.SweepResult{Sweep: id}
	d, err := c.DescribeWorkflowExecution(ctx, id, "")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return st, false, fmt.Errorf("no sweep %q; `tctl workflow list` shows what there is", id)
	}
	if err != nil {
		return st, false, fmt.Errorf("describe %s: %w", id, err)
	}
	info := d.WorkflowExecutionInfo
	how := standing.Status(info.Status)
	running := how == study.ServerRunning
	v, err := ask.Query(ctx, c, ask.Workflow{ID: id}, ask.Patience{Worker: time.Second}, workflows.QueryProgress)
	if err != nil {
		if ctx.Err() != nil {
			return st, running, fmt.Errorf("ask %s for its progress: %w", id, err)
		}
		unsaid := unanswered(err)
		st, err = serverStatus(ctx, c, info)
		if running {
			showHosts(ctx, a, c, &st)
		}
		st.Notes = append(st.Notes, fmt.Sprintf("%s; this is what the server itself knows", unsaid))
		return st, running, err
	}
	what := "the sweep"
	st.Status = how
	switch info.Type.Name {
	case workflows.ExperimentType:
		what = "the experiment"
		st.Experiments = make([]study.ExperimentResult, 1)
		r := &st.Experiments[0]
		err = v.Get(r)
		*r = standing.Row(ctx, c, id, *r, time.Time{})
		st.Status = r.Status
	case workflows.PreflightType:
		var t preflight.Table
		err = v.Get(&t)
		st.Preflight = t.Rows
	case workflows.DatasetGenerationType:
	case workflows.PhaseType:
		what = "the phase"
		err = v.Get(&st.Experiments)
		standing.Rows(ctx, c, path.Dir(id), st.Experiments, info.StartTime.AsTime())
	default:
		err = v.Get(&st)
		standing.Rows(ctx, c, id, st.Experiments, st.Started)
	}
	if err != nil {
		return st, running, fmt.Errorf("read progress of %s: %w", id, err)
	}
	st.Settle(what, how)
	if running {
		showHosts(ctx, a, c, &st)
	}
	return st, running, nil
}

// showHosts says how many hosts live. Without any, that is what holds everything up.
func showHosts(ctx context.Context, a *app, c client.Client, st *study.SweepResult) {
	st.AwaitTurns()
	e, err := a.server().Resolve()
	if err != nil {
		return
	}
	living, err := worker.Living(ctx, c, e.Namespace)
	if err != nil {
		return // of another server; the rows stand without it
	}
	if len(living) == 0 {
		st.NoWorker()
	}
	st.Hosts = len(living)
}

// preflightLines are the table of checks if one has failed.
func preflightLines(rows []preflight.Row) []string {
	var b strings.Builder
	_ = writePreflight(&b, rows) // a string takes everything
	if b.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// writePreflight prints the table of checks if one has failed.
func writePreflight(w io.Writer, rows []preflight.Row) error {
	t := preflight.Table{OK: true}
	if t.Add(rows...); t.OK {
		return nil
	}
	return t.Write(w)
}

// statusLines are what `status` prints of a sweep; width is that of the terminal, 0 = none.
func statusLines(st study.SweepResult, width int) []string {
	head := fmt.Sprintf("%s: %s, %d of %d done", st.Sweep, st.Status, st.Done, len(st.Experiments))
	if st.Failed > 0 {
		head += fmt.Sprintf(", %d failed", st.Failed)
	}
	if st.Stage != "" {
		head += "; now: " + st.Stage
	}
	if left := st.TimeLeft(); left != "" {
		head += "; time left: " + left
	}
	if st.Hosts > 0 {
		head += fmt.Sprintf("; hosts: %d", st.Hosts)
	}
	lines := append([]string{head}, statusTable(st.Experiments).Lines(width)...)
	for _, held := range study.Holdups(st.Sweep, st.Experiments) {
		lines = append(lines, "held up: "+held)
	}
	for _, n := range slices.Concat(st.Notes, study.HostNotes(st.Experiments)) {
		lines = append(lines, "note: "+n)
	}
	lines = append(lines, preflightLines(st.Preflight)...)
	for _, r := range st.Experiments {
		if why := r.Error + r.Reason; why != "" {
			lines = append(lines, r.Item.ID+": "+why)
		}
	}
	for _, k := range st.Reports {
		lines = append(lines, "report: "+k)
	}
	return lines
}

// stepText is how far an experiment is. The server alone does not know how many steps there are.
func stepText(r study.ExperimentResult) string {
	if r.Item.TotalSteps == 0 {
		return strconv.FormatInt(r.Progress.Step, 10)
	}
	return fmt.Sprintf("%d/%d", r.Progress.Step, r.Item.TotalSteps)
}

// statusTable has a row for each experiment. A narrow terminal shows the name, the status and the time left at least.
func statusTable(rows []study.ExperimentResult) terminal.Table {
	t := terminal.Table{Columns: []terminal.Column{
		{Name: "EXPERIMENT"},
		{Name: "PHASE", Drop: 2},
		{Name: "STATUS"},
		{Name: "STEP", Drop: 6},
		{Name: "LOSS", Drop: 4},
		{Name: "BEST EXACT", Drop: 5},
		{Name: "PREEMPTIONS", Drop: 3},
		{Name: "ETA"},
		{Name: "HOST", Drop: 1},
	}}
	for _, r := range rows {
		p := r.Progress
		host := ""
		if r.Status == study.StatusRunning {
			host = p.Host
		}
		t.Rows = append(t.Rows, []string{
			r.Item.ID,
			r.Item.Phase,
			r.StatusText(),
			stepText(r),
			r.LossText(),
			r.BestText(),
			strconv.Itoa(r.Preemptions),
			r.TimeLeft(),
			host,
		})
	}
	return t
}
