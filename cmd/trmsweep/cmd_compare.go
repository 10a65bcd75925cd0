package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob"
	"trmsweep/internal/protocol"
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
			bucket, closer, err := openToRead(cmd.Context(), a, store)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closer.Close()) }()
			var results [2]protocol.RunResult
			for i, run := range args {
				results[i], err = protocol.ReadResult(cmd.Context(), bucket, protocol.Identity{Run: run})
				if errors.Is(err, blob.ErrNotExist) {
					return usagef("run %q has no result in the store; `trmsweep plan --json` shows the names of runs", run)
				}
				if err != nil {
					return err
				}
			}
			sets, err := report.ReadDatasets(cmd.Context(), bucket, results[:]...)
			if err != nil {
				return err
			}
			c, err := report.Compare(results[0], results[1], sets)
			if errors.Is(err, report.ErrTestSets) {
				return usageError{err}
			}
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
	addResultsStore(cmd.Flags(), &store)
	addJSON(cmd.Flags(), &asJSON)
	return cmd
}

func printComparison(a *app, c report.Comparison) {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\t%s\n", c.RunA, c.RunB)
	fmt.Fprintf(w, "final exact accuracy\t%.2f%%\t%.2f%%\n", 100*c.OutcomeA.FinalExactAccuracy, 100*c.OutcomeB.FinalExactAccuracy)
	if c.CILow != nil {
		fmt.Fprintf(w, "its 95%% interval\t%.2f%% to %.2f%%\t%.2f%% to %.2f%%\n",
			100*c.FinalCIA[0], 100*c.FinalCIA[1], 100*c.FinalCIB[0], 100*c.FinalCIB[1])
	}
	fmt.Fprintf(w, "best exact accuracy\t%s\t%s\n", c.OutcomeA.BestText(), c.OutcomeB.BestText())
	fmt.Fprintf(w, "optimizer steps\t%d\t%d\n", c.StepsA, c.StepsB)
	fmt.Fprintf(w, "compute, TFLOP\t%.4g\t%.4g\n", c.ComputeA/1e12, c.ComputeB/1e12)
	if c.CodeA != c.CodeB {
		fmt.Fprintf(w, "code version (differs)\t%s\t%s\n", c.CodeA, c.CodeB)
	}
	if c.ImportedA != nil || c.ImportedB != nil {
		fmt.Fprintf(w, "weights at the start\t%s\t%s\n", origin(c.ImportedA), origin(c.ImportedB))
	}
	for _, d := range c.Differences {
		fmt.Fprintf(w, "%s\t%s\t%s\n", d.Key, d.A, d.B)
	}
	if err := w.Flush(); err != nil {
		return
	}
	if c.CILow == nil {
		fmt.Fprintf(a.stdout, "\ndifference %+.2f points of final exact accuracy; no interval, the results do not say which puzzles "+
			"were solved\n", 100*c.Delta)
	} else {
		fmt.Fprintf(a.stdout, "\ndifference %+.2f points of final exact accuracy, 95%% interval %+.2f to %+.2f, p %s, over the same %d "+
			"test puzzles\n", 100*c.Delta, 100**c.CILow, 100**c.CIHigh, report.PText(*c.P, c.PAtFloor), c.Puzzles)
		fmt.Fprintf(a.stdout, "a true difference of %.2f points would be found in 80%% of cases; one seed each: what another seed would give "+
			"is not in the interval\n", 100**c.MDE)
	}
	if c.UnequalCompute {
		fmt.Fprintf(a.stdout, "at unequal compute: the training of the first took %.3g times the work of the second's, "+
			"so the difference is not that of the change alone\n", c.ComputeA/c.ComputeB)
	}
	if c.SameState {
		fmt.Fprintln(a.stdout, "both ended in the same training state, bit for bit")
	}
	if len(c.Differences) == 0 {
		fmt.Fprintln(a.stdout, "their specs are the same")
	}
}

// origin says where a run's weights at step 0 come from.
func origin(i *protocol.Imported) string {
	if i == nil {
		return "from the seed"
	}
	return "imported from " + i.String()
}
