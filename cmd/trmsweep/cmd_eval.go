package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/blob/patient"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

func newEvalCmd(a *app) *cobra.Command {
	var o train.EvalOptions
	var store string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval --run NAME",
		Short: "Evaluate a checkpoint on held-out puzzles, with as many supervision steps as you like",
		Long: `Evaluate a checkpoint's weights (EMA where the run has it) on the run's test
puzzles. Nothing is written, and the run may be training. --steps above the
spec's halt_max_steps gives the model more supervision steps at test time.
Exit codes: 0 fine, 1 failed, 2 no such run or checkpoint, or usage.`,
		Example: "  trmsweep eval --store gs://bucket/prefix --run 0123456789abcdef-s42 --at best --steps 64",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Run == "" {
				return usagef("eval needs --run NAME; `trmsweep status` and the folder runs/ of the store list them")
			}
			err := errors.Join(atLeast(cmd, 0, "puzzles"), between(cmd, 0, experiment.MaxSupervisionSteps, "steps"), threadsFault(o.Threads))
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if o.CacheDir == "" {
				o.CacheDir = a.path("cache")
			}
			b, closer, err := openResults(ctx, a, store)
			if err != nil {
				return err
			}
			defer closer.Close()
			o.Bucket = patient.New(b, time.Minute, nil)
			o.Opener = open.Bucket
			show := newLiveLine(a.stderr)
			o.Events = func(e protocol.Event) {
				if e.State == protocol.StateEvaluating && e.Puzzles > 0 {
					show.show(fmt.Sprintf("%d/%d puzzles", e.DonePuzzles, e.Puzzles), e.DonePuzzles == e.Puzzles)
				}
			}
			res, err := train.Evaluate(ctx, o)
			switch {
			case errors.Is(err, train.ErrNoRun), errors.Is(err, train.ErrNoCheckpoint), errors.Is(err, train.ErrMismatch),
				errors.Is(err, train.ErrNeedData), train.IsUserError(err):
				return usageError{fmt.Errorf("eval: %w", err)}
			}
			if err != nil {
				return interrupted(ctx, err, "the evaluation has no result")
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(res)
			}
			_, err = fmt.Fprintf(a.stdout, "run %s, step %d, %d puzzles, %g supervision steps: exact %.2f%%, cells %.2f%%, q_halt right %.2f%%\n",
				res.Run, res.Step, res.Puzzles, res.MeanSteps, 100*res.ExactAccuracy, 100*res.CellAccuracy, 100*res.QHaltAccuracy)
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.Run, "run", "", "name of the run in the store")
	addResultsStore(fl, &store)
	fl.StringVar(&o.At, "at", "newest", "newest, best, or the step of a kept checkpoint")
	fl.IntVar(&o.Puzzles, "puzzles", 0, "evenly spaced test puzzles (0 = all)")
	fl.IntVar(&o.Steps, "steps", 0, "supervision steps (0 = the spec's halt_max_steps)")
	addData(fl, &o.CacheDir, &o.DataDir)
	addBackend(fl, &o.Backend)
	addThreads(fl, &o.Threads)
	addJSON(fl, &asJSON)
	return cmd
}
