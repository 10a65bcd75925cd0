package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/ask"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/localstack"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

func newRunCmd(a *app) *cobra.Command {
	var f stackFlags
	var sweep, checks string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a whole sweep on the embedded stack, with progress, and leave nothing running",
		Long: `Start the embedded stack and a worker, run the sweep, show its progress, and
copy the report into the state folder. Ctrl-C stops everything after running
experiments have saved; the same command continues where it stopped.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			unheard(a)
			a.embedded = true
			in := study.SweepInput{Profile: f.profile, Preflight: checks}
			if err := checkInput(a, sweep, in); err != nil {
				return err
			}
			if !slices.Contains(sweepTypes, sweep) {
				return usagef("run takes a sweep (%s), not %s; start that with `trmsweep start %s` on the stack of `trmsweep up`",
					strings.Join(sweepTypes, ", "), sweep, sweep)
			}
			if err := f.check(a); err != nil {
				return err
			}
			done, err := localstack.Keep(a.stateDir, "")
			if err != nil {
				return err
			}
			defer done()
			s, err := startStack(ctx, a, f)
			if err != nil && ctx.Err() != nil {
				return errors.New("stopped before the stack was up; the same command continues")
			}
			if err != nil {
				return err
			}
			defer s.Stop()
			fmt.Fprintf(a.stdout, "Web UI %s   state %s   logs %s\n", s.UI, a.stateDir, a.path("logs"))
			return runSweep(ctx, a, s, sweep, in)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&sweep, "sweep", workflows.AllAblationsType, "AllAblations, TNSweep or BatchSweep")
	addPreflight(cmd.Flags(), &checks)
	return cmd
}

// runSweep starts or continues the sweep and follows it to its end.
func runSweep(ctx context.Context, a *app, s *localstack.Stack, sweep string, in study.SweepInput) error {
	id := sweep + "-" + in.Profile
	if err := start(ctx, a, sweep, id, in, false); err != nil {
		return err
	}
	c, err := dial(ctx, a)
	if err != nil {
		return err
	}
	defer c.Close()
	show := newLiveLine(a.stdout)
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		st, running, err := sweepStatus(ctx, a, c, id)
		if err == nil {
			show.show(progressLine(st), !running)
			if !running {
				return finishSweep(ctx, a, c, s, id, st)
			}
		} // the server or the worker may be starting again: ask once more
		select {
		case <-ctx.Done():
			fmt.Fprintln(a.stderr, "\nstopping (running experiments save first); the same command continues")
			return exitError{code: exitFailed, quiet: true, err: ctx.Err()}
		case err := <-s.Failed:
			return err
		case <-tick.C:
		}
	}
}

// progressLine is the sweep in one line: how long it will take, what is training and how far. A terminal
// cuts its end off.
func progressLine(st study.SweepResult) string {
	line := fmt.Sprintf("%s %d/%d done", st.Status, st.Done, len(st.Experiments))
	if st.Failed > 0 {
		line += fmt.Sprintf(", %d failed", st.Failed)
	}
	if nobody := ask.ErrNobody.Error(); st.Stage == nobody { // the rows are what the server alone knows
		return fmt.Sprintf("%s | %s", st.Status, nobody)
	}
	if st.ETASeconds > 0 {
		line += fmt.Sprintf(" | ETA %s", (time.Duration(st.ETASeconds) * time.Second).Round(time.Second))
	}
	for _, r := range st.Experiments {
		if p := r.Progress; r.Status == study.StatusRunning && p.Total > 0 && p.Step < p.Total {
			line += fmt.Sprintf(" | %s/%s %s %d/%d loss %s best exact %s", r.Item.Phase, r.Item.ID, p.State, p.Step, p.Total, r.LossText(),
				r.BestText())
		}
	}
	return line
}

// finishSweep copies the reports out of the store and prints where they are.
func finishSweep(ctx context.Context, a *app, c client.Client, s *localstack.Stack, id string, st study.SweepResult) error {
	ended := c.GetWorkflow(ctx, id, "").Get(ctx, nil)
	if ended == nil {
		for _, note := range st.Notes {
			fmt.Fprintln(a.stdout, "note:", note)
		}
	}
	if err := copyReports(ctx, a, s, st); err != nil {
		return errors.Join(ended, err)
	}
	if ended != nil {
		if perr := writePreflight(a.stderr, st.Preflight); perr != nil {
			return perr
		}
		if temporal.IsCanceledError(ended) {
			return fmt.Errorf("sweep %s was cancelled with %d of %d experiments done; the same command continues it", id, st.Done,
				len(st.Experiments))
		}
		return fmt.Errorf("sweep %s: %w", id, reason(ended))
	}
	return sweepOutcome(a, id, st)
}

// copyReports copies the newest reports out of the store and prints where they are.
func copyReports(ctx context.Context, a *app, s *localstack.Stack, st study.SweepResult) error {
	if err := os.Setenv("STORAGE_EMULATOR_HOST", s.GCS); err != nil {
		return err
	}
	b, closer, err := open.Bucket(ctx, workerStore())
	if err != nil {
		return err
	}
	defer closer.Close()
	files, err := fetch(ctx, a, b, st.Reports)
	for _, f := range files {
		fmt.Fprintln(a.stdout, f)
	}
	return err
}

// failures are the first ten experiments that failed, each on a line with its reason.
func failures(rows []study.ExperimentResult) string {
	var b strings.Builder
	n := 0
	for _, r := range rows {
		if r.Status != study.StatusFailed || r.Item.SameAs != "" {
			continue
		}
		if n++; n > 10 {
			b.WriteString("\n  and others")
			break
		}
		fmt.Fprintf(&b, "\n  %s: %s", r.Item.ID, r.Error)
	}
	return b.String()
}

// sweepOutcome is the error of a sweep that ended otherwise than it should. One
// that was stopped by the user or by its budget did as it was told.
func sweepOutcome(a *app, id string, st study.SweepResult) error {
	tally := fmt.Sprintf("with %d of %d experiments done", st.Done, len(st.Experiments))
	if st.Failed > 0 {
		tally += fmt.Sprintf(" and %d failed", st.Failed)
	}
	switch {
	case len(st.Reports) == 0:
		return fmt.Errorf("sweep %s ended (%s) %s, but without a report: see the notes above; "+
			"`trmsweep report %s --profile %s` writes it from the results",
			id, st.Status, tally, strings.TrimSuffix(id, "-"+st.Profile), st.Profile)
	case st.Failed > 0:
		return fmt.Errorf("%d of %d experiments failed; what results there are is in the report%s", st.Failed, len(st.Experiments),
			failures(st.Experiments))
	case st.Status == study.StatusStopped:
		fmt.Fprintf(a.stderr, "sweep %s was stopped %s; the same command goes on with the rest\n", id, tally)
	case st.Status != study.StatusDone:
		return fmt.Errorf("sweep %s ended as %q %s; %s may say why, and the same command goes on with the rest", id, st.Status, tally,
			a.path("logs", "worker.log"))
	}
	return nil
}
