package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/experiment"
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
self-contained report.html, figures and results.json below sweeps/<id>/.
Experiments without a result are listed as missing. Profile, --set and seeds
must be those of the training, since they name the runs.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx := cmd.Context()
			files, err := a.configs()
			if err != nil {
				return err
			}
			specs, err := seededSpecs(files, args, profile, sets, seeds)
			if err != nil {
				return err
			}
			bucket, closer, err := open.Bucket(ctx, storeAddress(a, store))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closer.Close()) }()
			entries, err := report.ReadEntries(ctx, bucket, specs)
			if err != nil {
				return err
			}
			w, err := report.Write(ctx, bucket, id, entries)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(w.Rows)
			}
			for _, k := range w.Keys {
				fmt.Fprintln(a.stdout, k)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&profile, "profile", experiment.DefaultProfile, "profile of the training: smoke, laptop, paper")
	fl.StringArrayVar(&sets, "set", nil, "key=value that overrode the configuration (repeatable)")
	fl.Int64SliceVar(&seeds, "seeds", nil, "seeds, comma-separated (default: the configuration's)")
	fl.StringVar(&store, "store", "", "where results live: a folder or gs://bucket/prefix (default STATE/store; environment TRMSWEEP_STORE)")
	fl.StringVar(&id, "id", "report", "name of the folder below sweeps/")
	fl.BoolVar(&asJSON, "json", false, "print the rows as JSON")
	return cmd
}

// storeAddress is the store to read results from.
func storeAddress(a *app, flag string) string {
	if flag != "" {
		return flag
	}
	return envOr("TRMSWEEP_STORE", a.path("store"))
}
