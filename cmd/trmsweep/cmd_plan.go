package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"trmsweep/internal/aot"
	"trmsweep/internal/experiment"
)

// planRow is one experiment of `plan --json`; others script against it.
type planRow struct {
	Experiment      string  `json:"experiment"`
	Phase           string  `json:"phase"`
	SpecHash        string  `json:"spec_hash"`
	Run             string  `json:"run"`
	Params          int64   `json:"params"`
	TotalSteps      int64   `json:"total_steps"`
	GlobalBatchSize int     `json:"global_batch_size"`
	FLOPsPerStep    float64 `json:"flops_per_step"`
	TotalFLOPs      float64 `json:"total_flops"` // training and evaluations
	CheckpointBytes int64   `json:"checkpoint_bytes"`
	StoredBytes     int64   `json:"stored_bytes"`    // keep_checkpoints of them
	EstimatedHours  float64 `json:"estimated_hours"` // on one TPU v4 chip
	Utilisation     float64 `json:"utilisation"`
	SameAs          *string `json:"same_as"` // the experiment whose run it shares
	HoursFrom       string  `json:"hours_from"`
	MemoryBytes     int64   `json:"host_memory_bytes"` // of this host, that a training process of --backend needs; preflight asks for as much

	Compiled *aot.Estimate `json:"compiled,omitempty"`
}

// Where the hours of a plan come from.
const (
	hoursFromFLOPs    = "flops"    // estimated: the work of the matrix products at an assumed fraction of the peak
	hoursFromCompiler = "compiled" // the least that the chip's rates allow for what the TPU compiler made
)

func newPlanCmd(a *app) *cobra.Command {
	var (
		profile     string
		sets        []string
		asJSON      bool
		utilisation float64
		compileFor  string
		backend     string
	)
	cmd := &cobra.Command{
		Use:   "plan [SWEEP|PHASE|EXPERIMENT]...",
		Short: "Show what a study would train and what it would cost, without training",
		Example: `  trmsweep plan AllAblations
  trmsweep plan TNSweep e4_3_deeper_model --profile smoke --set epochs=20 --json
  trmsweep plan e1_1_baseline --profile paper --compile-for v4:2x2x1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(utilisation > 0 && utilisation <= 1) {
				return usagef("--utilisation %v: want a fraction in (0, 1]", utilisation)
			}
			files, err := a.configs()
			if err != nil {
				return err
			}
			specs, err := experiment.ResolveSweep(files, args, profile, sets, os.Environ())
			if err != nil {
				return configError(err)
			}
			hw := experiment.V4Chip
			hw.Utilisation = utilisation
			rows := planRows(specs, hw)
			for i, s := range specs {
				rows[i].MemoryBytes = int64(bytesOnHost(backend)(s))
			}
			if compileFor == "" {
				useCompiled(rows, knownPlan(a, specs))
			} else {
				estimates, err := compilePlan(cmd.Context(), a, specs, compileFor)
				if err != nil {
					return err
				}
				useCompiled(rows, estimates)
			}
			if asJSON {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				err = enc.Encode(rows)
			} else {
				err = printPlan(a, rows, hw, placements(specs))
			}
			if err != nil || compileFor == "" {
				return err
			}
			return tooBig(rows, compileFor)
		},
	}
	fl := cmd.Flags()
	addProfile(fl, &profile)
	addSets(fl, &sets)
	addBackend(fl, &backend)
	fl.BoolVar(&asJSON, "json", false, "print a JSON array")
	fl.Float64Var(&utilisation, "utilisation", experiment.DefaultUtilisation, "assumed fraction of the chips' peak (12.5% is what a "+
		"public replication reached on four GH200)")
	fl.StringVar(&compileFor, "compile-for", "", "compile every program for this TPU slice with libtpu, without a TPU, and say what fits "+
		"and how fast it can be: v4:2x2x1, v5e:2x2, v5p:2x2x1, v6e:2x2 ...")
	return cmd
}

func planRows(specs []experiment.Spec, hw experiment.Hardware) []planRow {
	rows := []planRow{}
	first := map[string]string{}
	for _, s := range specs {
		r := planRow{
			Experiment: s.Name, Phase: s.Phase, SpecHash: s.Hash(), Run: s.RunName(), Params: s.Params(), TotalSteps: s.TotalSteps(),
			GlobalBatchSize: s.GlobalBatchSize, FLOPsPerStep: s.FLOPsPerStep(), TotalFLOPs: s.TotalFLOPs(), CheckpointBytes: s.CheckpointBytes(),
			StoredBytes: s.StoredBytes(), EstimatedHours: s.EstimatedHours(hw), Utilisation: hw.Utilisation, HoursFrom: hoursFromFLOPs,
		}
		if name, shared := first[r.Run]; shared {
			r.SameAs = &name
		} else {
			first[r.Run] = s.Name
		}
		rows = append(rows, r)
	}
	return rows
}

// useCompiled puts the compiler's hours into the rows that it has an estimate of.
func useCompiled(rows []planRow, estimates []*aot.Estimate) {
	for i, e := range estimates {
		rows[i].Compiled = e
		if e != nil && e.Fits {
			rows[i].EstimatedHours, rows[i].HoursFrom = e.Hours, hoursFromCompiler
		}
	}
}

func printPlan(a *app, rows []planRow, hw experiment.Hardware, placement string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PHASE\tEXPERIMENT\tPARAMS\tSTEPS\tBATCH\tGFLOP/STEP\tSTORAGE MB\tMEMORY MB\tHOURS\tFROM\tRUN")
	var hours []float64
	var bytes float64
	for _, r := range rows {
		run := r.Run
		if r.SameAs != nil {
			run = "same as " + *r.SameAs
		} else {
			hours = append(hours, r.EstimatedHours)
			bytes += float64(r.StoredBytes)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.4g\t%.1f\t%.0f\t%.3g\t%s\t%s\n", r.Phase, r.Experiment, r.Params, r.TotalSteps, r.GlobalBatchSize,
			r.FLOPsPerStep/1e9, float64(r.StoredBytes)/1e6, float64(r.MemoryBytes)/1e6, r.EstimatedHours, r.HoursFrom, run)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	sum := 0.0
	for _, h := range hours {
		sum += h
	}
	slots := experiment.SlotsOfV4Slice(placement)
	fmt.Fprintf(a.stdout, "\n%d experiments, %d runs, %.1f MB of checkpoints. Memory is what a training process needs "+
		"on its host. Hours are of one chip, on which a run computes, evaluations included; "+
		"those from flops on a %s at %.1f%% of its %.0f TFLOP/s.\n%.3g chip hours",
		len(rows), len(hours), bytes/1e6, hw.Name, 100*hw.Utilisation, hw.PeakFLOPs/1e12, sum)
	if compiledForV4(rows) {
		fmt.Fprintf(a.stdout, "; %.3g h on a v4-64 with placement %s, which trains %d at once", makespan(hours, slots), placement, slots)
	}
	fmt.Fprintln(a.stdout, ".")
	return printCompiled(a, rows)
}

// placements is the placement that all specs have, or host if they differ: chips are then not shared by all.
func placements(specs []experiment.Spec) string {
	for _, s := range specs {
		if s.Placement != experiment.PlacementChip {
			return experiment.PlacementHost
		}
	}
	return experiment.PlacementChip
}

// makespan packs the longest first, each into the slot that is free first.
func makespan(hours []float64, slots int) float64 {
	busy := make([]float64, slots)
	sorted := slices.Clone(hours)
	slices.Sort(sorted)
	for _, h := range slices.Backward(sorted) {
		i := slices.Index(busy, slices.Min(busy))
		busy[i] += h
	}
	return slices.Max(busy)
}
