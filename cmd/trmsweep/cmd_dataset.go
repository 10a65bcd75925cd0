package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/dataset"
)

func newDatasetCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "dataset", Short: "Build and look at datasets"}
	cmd.AddCommand(newDatasetBuildCmd(a), newDatasetShowCmd(a))
	return cmd
}

func newDatasetBuildCmd(a *app) *cobra.Command {
	var o dataset.Options
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "build --source FILE|FOLDER|-|gs://...|hf:owner/name|generate --out DIR",
		Short: "Build a dataset folder from puzzles, checked and reproducible",
		Long: `Build a dataset folder in the reference's layout, with a provenance.json.

A CSV has a header with the columns question, answer, rating, or quizzes, solutions,
or puzzle, solution, in any order; a list has one puzzle of 81 characters a line
('.', 0, * or _ for a blank). Answers and ratings that a file does not have are
computed. Empty lines, lines that begin with #, and a first line with the number of
puzzles are no puzzles; .gz and .zst are unpacked. "-" is standard input. One file
makes the train split, and --test the test split; a folder has train.csv and test.csv.

Generated puzzles are minimal, have one solution and a rating of --min-rating or
more; --profile-like aims at the ratings of a published set instead, a quarter of
which are easy puzzles with clues too many unless --minimal says otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" || o.Source == "" {
				return usagef("dataset build needs --source and --out; `trmsweep dataset build --help` says more")
			}
			o.Opener = open.Bucket
			o.CacheDir = a.path("cache")
			o.Stdin = cmd.InOrStdin()
			return runDatasetBuild(cmd.Context(), a, o, out, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.Source, "source", "", "CSV (plain, .gz, .zst), list of puzzles, folder with train.csv and test.csv, gs:// and either "+
		"of them, hf:owner/name[@revision], or generate[:profile]")
	fl.StringVar(&o.TestSource, "test", "", "file of the test split")
	fl.StringVar(&out, "out", "", "folder to make")
	fl.IntVar(&o.Subsample, "subsample", 0, "train puzzles drawn from the source, 0 = all")
	fl.IntVar(&o.NumAug, "num-aug", 0, "augmented copies of every train puzzle")
	fl.IntVar(&o.MinRating, "min-rating", 0, "least rating (backtracks) of a puzzle")
	fl.IntVar(&o.Count, "count", 0, "generate: train puzzles (0 = 1000)")
	fl.StringVar(&o.Profile, "profile-like", "", "generate: puzzles like those of sudoku-extreme, or easy, or nearly-solved ones")
	fl.BoolVar(&o.Minimal, "minimal", false, "generate: no clue too many in any puzzle, also with --profile-like")
	fl.IntVar(&o.TestCount, "test-count", 0, "test puzzles drawn (0 = all; generate: 1000)")
	fl.Int64Var(&o.Seed, "seed", 0, "seed of every draw")
	fl.BoolVar(&o.Compact, "compact", false, "write uint8 throughout (an eighth of the size)")
	fl.BoolVar(&o.VerifyUnique, "verify-unique", false, "prove that every question has exactly one solution")
	fl.BoolVar(&o.SkipBad, "skip-bad", false, "leave faulty rows out instead of failing")
	fl.BoolVar(&o.Force, "force", false, "replace the output folder")
	fl.IntVar(&o.Workers, "workers", 0, "goroutines (0 = all cores); the bytes do not depend on it")
	fl.BoolVar(&asJSON, "json", false, "print the summary as JSON")
	return cmd
}

func runDatasetBuild(ctx context.Context, a *app, o dataset.Options, out string, asJSON bool) error {
	start, last := time.Now(), time.Now()
	sum, err := dataset.Build(ctx, o, filepath.Clean(out), func(p dataset.Progress) {
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		if p.Total > 0 {
			fmt.Fprintf(a.stderr, "%s: %d of %d\n", p.Stage, p.Done, p.Total)
		} else {
			fmt.Fprintf(a.stderr, "%s: %d\n", p.Stage, p.Done)
		}
	})
	if errors.Is(err, dataset.ErrOptions) {
		return usageError{err}
	}
	if err != nil {
		return interrupted(ctx, err, "nothing was written to "+out)
	}
	notes(a, sum)
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			dataset.Summary
			Out     string  `json:"out"`
			Seconds float64 `json:"seconds"`
		}{sum, out, time.Since(start).Seconds()})
	}
	printSummary(a, sum)
	fmt.Fprintf(a.stdout, "\n%s: dataset %s in %.1f s\n", out, sum.Hash[:12], time.Since(start).Seconds())
	return nil
}

// notes say what the user may not have expected.
func notes(a *app, sum dataset.Summary) {
	if sum.Test.Groups == 0 {
		fmt.Fprintln(a.stderr, "note: no test split was made, and training needs one: give its file with --test, or a folder with train.csv "+
			"and test.csv")
	}
	for _, s := range splits(sum) {
		if s.BadRows > 0 {
			fmt.Fprintf(a.stderr, "warning: %d faulty rows of %s left out: %s%s\n", s.BadRows, s.name, strings.Join(s.Faults, "; "),
				more(int(s.BadRows), len(s.Faults)))
		}
	}
	if n := sum.TestInTrainCount; n > 0 {
		fmt.Fprintf(a.stderr, "warning: %d test puzzles are train puzzles up to symmetry: test groups %s%s\n", n,
			strings.Trim(fmt.Sprint(sum.TestInTrain), "[]"), more(n, len(sum.TestInTrain)))
	}
}

// more says how many of n were not listed.
func more(n, listed int) string {
	if n > listed {
		return fmt.Sprintf(" and %d more", n-listed)
	}
	return ""
}

type namedSplit struct {
	name string
	dataset.SplitSummary
}

func splits(sum dataset.Summary) []namedSplit {
	return []namedSplit{{"train", sum.Train}, {"test", sum.Test}}
}

func printSummary(a *app, sum dataset.Summary) {
	for _, s := range splits(sum) {
		if s.Groups == 0 {
			continue
		}
		fmt.Fprintf(a.stdout, "%-5s %d puzzles, %d rows, of %d in the source; %d faulty rows left out\n", s.name, s.Groups, s.Rows,
			s.SourceRows, s.BadRows)
	}
	fmt.Fprintf(a.stdout, "\ntrain: %s", sum.Train.Histograms().Text())
}

func newDatasetShowCmd(a *app) *cobra.Command {
	var split, picture string
	var count, from int
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "Print puzzles as grids, and the histograms of ratings and clues",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 0 || from < 0 {
				return usagef("--count and --from must not be negative")
			}
			if split != "train" && split != "test" {
				return usagef("--split %q: want train or test", split)
			}
			if _, err := os.Stat(args[0]); err != nil {
				return usageError{fmt.Errorf("open dataset: %w", err)}
			}
			folder, err := dataset.Load(args[0])
			if err != nil {
				return err
			}
			defer folder.Close()
			s, err := folder.Split(split)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s/%s: %d puzzles, %d rows\n", args[0], split, s.Groups(), s.Rows())
			for g := min(from, s.Groups()); g < s.Groups() && g-from < count; g++ {
				row, to := s.Group(g)
				q, answer := s.Grids(row)
				fmt.Fprintf(a.stdout, "\npuzzle %d: %d clues, %d rows, solution %s\n%s", g, q.Clues(), to-row, answer, q.Pretty())
			}
			h, err := s.Histograms(cmd.Context(), 1000)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "\n%s", h.Text())
			if picture != "" {
				return writePicture(picture, h.SVG())
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&split, "split", "train", "train or test")
	cmd.Flags().IntVar(&count, "count", 3, "puzzles to print")
	cmd.Flags().IntVar(&from, "from", 0, "first puzzle")
	cmd.Flags().StringVar(&picture, "svg", "", "write the histograms there as a picture")
	return cmd
}
