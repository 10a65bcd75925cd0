package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/blob/patient"
	"trmsweep/internal/train"
)

func newVerifyCmd(a *app) *cobra.Command {
	var store, run, cache, data string
	var asJSON bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "verify --run NAME",
		Short: "Check every byte of a run, and that no batch was repeated or skipped",
		Long: `Read every file of every checkpoint and every piece of the logs of a run and
compare them with what was recorded; recompute the batch chain of all steps
from the run's spec and dataset; look for repeated or missing steps in the
metrics log. Nothing is written to the store.
Exit codes: 0 all well, 1 faults found or storage failed, 2 no such run or usage.`,
		Example: "  trmsweep verify --store gs://bucket/prefix --run 0123456789abcdef-s42 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && run != "" && run != args[0]:
				return usagef("verify takes one run, not %s and --run %s", args[0], run)
			case len(args) == 1:
				run = args[0]
			case run == "":
				return usagef("verify needs --run NAME; `trmsweep status` and the folder runs/ of the store list them")
			}
			if err := atLeast(cmd, 0, "patience"); err != nil {
				return err
			}
			o := train.VerifyOptions{Run: run, CacheDir: cache, DataDir: data}
			if o.CacheDir == "" {
				o.CacheDir = a.path("cache")
			}
			b, closer, err := openToRead(cmd.Context(), a, store)
			if err != nil {
				return err
			}
			defer closer.Close()
			o.Bucket = patient.New(b, patience, nil)
			o.Opener = open.Bucket
			v, err := train.Verify(cmd.Context(), o)
			if errors.Is(err, train.ErrNoRun) || errors.Is(err, train.ErrNeedData) || train.IsUserError(err) {
				return usageError{fmt.Errorf("verify: %w", err)}
			}
			if err != nil {
				return err
			}
			if err := printVerification(a.stdout, v, asJSON); err != nil {
				return err
			}
			if !v.OK {
				return exitError{code: exitFailed, quiet: asJSON, err: fmt.Errorf("run %s: %d faults", run, len(v.Faults))}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	addResultsStore(fl, &store)
	fl.StringVar(&run, "run", "", "name of the run in the store")
	addData(fl, &cache, &data)
	fl.DurationVar(&patience, "patience", time.Minute, "how long storage may be away")
	fl.BoolVar(&asJSON, "json", false, "one JSON object on standard output")
	return cmd
}

func printVerification(w io.Writer, v train.Verification, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	fmt.Fprintf(w, "run %s: step %d of %d, state %.12s\n", v.Run, v.Step, v.Total, v.StateSHA256)
	if v.Imported != nil {
		fmt.Fprintf(w, "  weights at step 0 imported from %s\n", v.Imported)
	}
	for _, c := range v.Checkpoints {
		word := "whole"
		if c.Bad != "" {
			word = "skipped by an attempt: " + c.Bad
		} else if len(c.Faults) > 0 {
			word = "DAMAGED"
		}
		if c.Best {
			word += ", the best"
		}
		fmt.Fprintf(w, "  step %d, term %d: %s\n", c.Step, c.Term, word)
	}
	fmt.Fprintf(w, "%d objects, %d bytes read; %d left over by dead attempts\n", v.Objects, v.Bytes, len(v.Orphans))
	fmt.Fprintf(w, "batch chain of %d steps recomputed: %.12s; log of %d steps and %d evaluations\n", v.BatchSteps, v.BatchSHA,
		v.LoggedSteps, v.LoggedEvals)
	for _, f := range v.Faults {
		fmt.Fprintln(w, "FAULT", f)
	}
	if v.OK {
		fmt.Fprintln(w, "OK")
	}
	return nil
}
