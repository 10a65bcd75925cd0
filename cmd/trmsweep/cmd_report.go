package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

func newReportCmd(a *app) *cobra.Command {
	var (
		profile, store, id string
		sets               []string
		seeds              []int64
		asJSON             bool
	)
	cmd := &cobra.Command{
		Use:   "report [SWEEP|PHASE|EXPERIMENT]...",
		Short: "Write the report of a study from the results in the store",
		Long: `Write the report of a study from the results in the store: report.md, one
self-contained report.html, figures and results.json below sweeps/<id>/ in the
store, and copies of them in the state folder. Experiments without a result are
listed as failed, with the reason, where the newest report of a sweep says so,
else as missing. Profile, --set and seeds must be those of the training, since
they name the runs.`,
		Example: `  trmsweep report --profile smoke
  trmsweep report TNSweep --profile paper --seeds 42,43,44 --json`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx := cmd.Context()
			files, err := a.configs()
			if err != nil {
				return err
			}
			if id != "" {
				if err := checkID(id); err != nil {
					return err
				}
			}
			specs, err := seededSpecs(files, args, profile, sets, seeds)
			if err != nil {
				return err
			}
			bucket, closer, err := openResults(ctx, a, store)
			if errors.Is(err, blob.ErrDenied) { // it may be read all the same
				bucket, closer, err = openToRead(ctx, a, store)
			}
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closer.Close()) }()
			entries, err := report.ReadEntries(ctx, bucket, specs)
			if err != nil {
				return err
			}
			w, err := report.Write(ctx, bucket, reportID(id, args, profile), entries)
			if err != nil && w.Rows == nil {
				return err
			}
			written, ferr := fetch(ctx, a, bucket, w.Keys)
			unwritten := errors.Join(err, ferr)
			if err := hintOtherRuns(ctx, a, bucket, w.Rows, profile); err != nil {
				return err
			}
			if asJSON {
				if unwritten != nil {
					fmt.Fprintf(a.stderr, "trmsweep: the report's files were not written, or not all: %v\n", unwritten)
				}
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(w.Rows)
			}
			for _, f := range written {
				fmt.Fprintln(a.stdout, f)
			}
			return unwritten
		},
	}
	fl := cmd.Flags()
	addProfile(fl, &profile)
	addSets(fl, &sets)
	fl.Int64SliceVar(&seeds, "seeds", nil, "seeds, comma-separated (default: the configuration's)")
	addResultsStore(fl, &store)
	fl.StringVar(&id, "id", "", "name of the folder below sweeps/ (default: names and profile, as `trmsweep run` calls its sweep)")
	fl.BoolVar(&asJSON, "json", false, "print the rows as JSON")
	return cmd
}

// reportID is the folder of the report: that of the sweep of the same name.
func reportID(id string, names []string, profile string) string {
	switch {
	case id != "":
		return id
	case len(names) == 0:
		return experiment.AllAblations + "-" + profile
	}
	return strings.Join(names, "+") + "-" + profile
}

// hintOtherRuns says what a report without any result may be missing.
func hintOtherRuns(ctx context.Context, a *app, b blob.Bucket, rows []report.Row, profile string) error {
	for _, r := range rows {
		if len(r.Runs) > 0 {
			return nil
		}
	}
	profiles, unusable := map[string]int{}, 0
	for attr, err := range b.List(ctx, layout.Runs) {
		if err != nil {
			return err
		}
		if run, object, ok := layout.ParseRunKey(attr.Key); ok && object == layout.ResultFile {
			r, err := protocol.ReadResult(ctx, b, protocol.Identity{Run: run})
			if err != nil { // why is told where the run itself is asked for
				unusable++
				continue
			}
			profiles[r.Spec.Profile]++
		}
	}
	if len(profiles) == 0 && unusable > 0 {
		fmt.Fprintf(a.stderr, "trmsweep: the report is empty: the store has %d results, all damaged or another run's; %s says why\n",
			unusable, a.given().Complete("`trmsweep verify --run RUN`"))
		return nil
	}
	if len(profiles) == 0 {
		fmt.Fprintln(a.stderr, "trmsweep: the report is empty: the store has no result yet")
	}
	for _, p := range slices.Sorted(maps.Keys(profiles)) {
		fmt.Fprintf(a.stderr, "trmsweep: the report is empty: the store has %d results of profile %s, none of these experiments with "+
			"--profile %s and the same --set and --seeds\n", profiles[p], p, profile)
	}
	return nil
}
