package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob"
	"trmsweep/internal/report"
)

func newCompareCmd(a *app) *cobra.Command {
	var (
		store  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "compare RUN_A RUN_B",
		Short: "Compare two finished runs: accuracy, confidence interval, what their specs differ in",
		Long:  "Compare two finished runs by name; `trmsweep plan --json` shows the names (`run`).",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			bucket, closer, err := openResults(cmd.Context(), a, store)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closer.Close()) }()
			var results [2]report.RunResult
			for i, run := range args {
				results[i], err = report.ReadResult(cmd.Context(), bucket, run)
				if errors.Is(err, blob.ErrNotExist) {
					return usagef("%w: run %q has no result in the store; `trmsweep plan --json` shows the names of runs", err, run)
				}
				if err != nil {
					return err
				}
			}
			c, err := report.Compare(results[0], results[1])
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(c)
			}
			printComparison(a, c)
			return nil
		},
	}
	cmd.Flags().StringVar(&store, "store", "", storeHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printComparison(a *app, c report.Comparison) {
	fmt.Fprintf(a.stdout, "final exact accuracy  %.2f%%  %.2f%%\nbest exact accuracy   %.2f%%  %.2f%%\n", 100*c.FinalA, 100*c.FinalB, 100*c.BestA, 100*c.BestB)
	if c.CILow != nil {
		fmt.Fprintf(a.stdout, "difference            %+.2f points, 95%% interval %+.2f to %+.2f, p %.3g\n", 100*c.Delta, 100**c.CILow, 100**c.CIHigh, *c.P)
	} else {
		fmt.Fprintf(a.stdout, "difference            %+.2f points; no interval, the runs were not evaluated on the same puzzles\n", 100*c.Delta)
	}
	fmt.Fprintf(a.stdout, "same training state   %v\n", c.SameState)
	for _, d := range c.Differences {
		fmt.Fprintln(a.stdout, "spec                  "+d)
	}
}
