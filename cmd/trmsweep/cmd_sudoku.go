package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/dataset"
)

func newSudokuCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "sudoku", Short: "Solve and rate puzzles"}
	var f solveFlags
	solve := &cobra.Command{
		Use:   "solve [FILE|-]",
		Short: "Solve one puzzle a line",
		Long: `Read one puzzle a line (81 characters; '.', 0, * or _ for a blank; what follows
a space, comma, colon or semicolon is ignored), or a CSV with a column question,
puzzle or quizzes, and write one line each: the solution, "no solution", or
"several solutions"; with --rate, a space and the rating (the guesses that a
search takes back, averaged over orders) follow a solution. Empty lines, lines
that begin with #, and a first line with the number of puzzles are no puzzles;
.gz and .zst are unpacked.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSolve(cmd.Context(), a, cmd.InOrStdin(), f, args)
		},
	}
	solve.Flags().IntVar(&f.limit, "count-limit", 2, "stop counting solutions there; 1 = any solution will do")
	solve.Flags().BoolVar(&f.rate, "rate", false, "add the rating")
	solve.Flags().BoolVar(&f.json, "json", false, "end with a summary as one line of JSON")
	solve.Flags().BoolVar(&f.skipBad, "skip-bad", false, "leave faulty lines out, with a note, instead of ending there")
	cmd.AddCommand(solve)
	return cmd
}

type solveFlags struct {
	limit               int
	rate, json, skipBad bool
}

// solveSummary is the last line with --json.
type solveSummary struct {
	Puzzles          int64   `json:"puzzles"`
	Solved           int64   `json:"solved"`
	NoSolution       int64   `json:"no_solution"`
	SeveralSolutions int64   `json:"several_solutions"`
	Bad              int64   `json:"bad,omitempty"` // lines left out
	Seconds          float64 `json:"seconds"`
	PuzzlesPerSecond float64 `json:"puzzles_per_second"`
	Cores            int     `json:"cores"`
}

func runSolve(ctx context.Context, a *app, in io.Reader, f solveFlags, args []string) error {
	if f.limit < 1 {
		return usagef("--count-limit is %d, must be at least 1", f.limit)
	}
	o := dataset.SolveOptions{Path: dataset.SourceStdin, Stdin: in, Limit: f.limit, Rate: f.rate, SkipBad: f.skipBad}
	name := "standard input"
	if len(args) == 1 && args[0] != dataset.SourceStdin {
		o.Path, name = args[0], args[0]
	}
	start := time.Now()
	out := bufio.NewWriter(a.stdout)
	var sum solveSummary
	err := dataset.Solve(ctx, o, func(s dataset.Solved) error {
		if s.Fault != "" && !f.skipBad {
			return errors.New(s.Fault)
		}
		return sum.add(a.stderr, out, name, s, f.rate)
	})
	switch {
	case errors.Is(err, dataset.ErrOptions):
		return usageError{err}
	case err != nil:
		kept := fmt.Sprintf("the first %d puzzles of %s were written, the rest were not", sum.Puzzles, name)
		err = interrupted(ctx, fmt.Errorf("%s: %w", name, err), kept)
	case f.json:
		sum.Seconds, sum.Cores = time.Since(start).Seconds(), runtime.GOMAXPROCS(0)
		sum.PuzzlesPerSecond = float64(sum.Puzzles) / sum.Seconds
		err = json.NewEncoder(out).Encode(sum)
	}
	return errors.Join(err, out.Flush())
}

// add counts a puzzle and writes its line.
func (sum *solveSummary) add(notes, out io.Writer, name string, s dataset.Solved, rate bool) (err error) {
	if s.Fault != "" {
		sum.Bad++
		fmt.Fprintf(notes, "%s: %s; left out\n", name, s.Fault)
		return nil
	}
	sum.Puzzles++
	switch {
	case s.Solutions == 0:
		sum.NoSolution++
		_, err = io.WriteString(out, "no solution\n")
	case s.Solutions > 1:
		sum.SeveralSolutions++
		_, err = io.WriteString(out, "several solutions\n")
	case rate:
		sum.Solved++
		_, err = fmt.Fprintf(out, "%s %d\n", s.Solution, s.Rating)
	default:
		sum.Solved++
		_, err = io.WriteString(out, s.Solution+"\n")
	}
	return err
}
