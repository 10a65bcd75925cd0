package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

// Entry is one experiment of a sweep with one seed: its spec and, once it is
// finished, its result. Failure says why there is no result, Stopped why the run
// was ended early.
type Entry struct {
	Spec    experiment.Spec
	Result  *protocol.RunResult
	Slot    *protocol.Accounting // accounting of the run's slot, recorded by the sweep; nil = not known
	Failure string
	Stopped string
}

// Row is one experiment in results.json and in the output of `report --json`. Accuracies
// and their differences are fractions and means over seeds; nil means not known.
type Row struct {
	Experiment        string                         `json:"experiment"`
	Phase             string                         `json:"phase"`
	Status            string                         `json:"status"` // done, failed, stopped, missing; partial if only some seeds are done
	Failure           string                         `json:"failure,omitempty"`
	Stopped           string                         `json:"stopped,omitempty"` // why seeds without a result were ended early
	Reference         string                         `json:"reference"`         // empty for the reference itself
	SharedWith        []string                       `json:"shared_with,omitempty"`
	Seeds             []int64                        `json:"seeds"` // the finished seeds
	WantedSeeds       []int64                        `json:"wanted_seeds"`
	Runs              []string                       `json:"runs"`
	SpecHash          string                         `json:"spec_hash"`
	Params            int64                          `json:"params"`
	Steps             int64                          `json:"steps"`
	Batch             int                            `json:"global_batch_size"`
	TrainingFLOPs     float64                        `json:"training_flops"`          // of the plan: steps x predicted work of a step
	Changes           []experiment.Difference        `json:"changes,omitempty"`       // against the reference, whose value is a
	StepsRatio        float64                        `json:"steps_ratio,omitempty"`   // to the reference's
	ComputeRatio      float64                        `json:"compute_ratio,omitempty"` // of TrainingFLOPs to the reference's
	UnequalCompute    bool                           `json:"unequal_compute,omitempty"`
	BestExactAccuracy *float64                       `json:"best_exact_accuracy"` // see protocol.RunResult.BestEval
	BestPuzzles       int                            `json:"best_puzzles"`        // fewer than puzzles if a best checkpoint was lost
	BestStep          int64                          `json:"best_step"`           // step of the first seed's best evaluation
	FinalExact        *float64                       `json:"final_exact_accuracy"`
	FinalCILow        *float64                       `json:"final_ci_low"` // 95%, see accuracyInterval
	FinalCIHigh       *float64                       `json:"final_ci_high"`
	SeedDeviation     *float64                       `json:"seed_deviation"` // standard deviation of final exact accuracy over seeds
	CellAccuracy      *float64                       `json:"cell_accuracy"`  // of the final evaluation
	Delta             *float64                       `json:"delta"`          // of final exact accuracy, over common seeds
	ComparedSeeds     int                            `json:"compared_seeds"`
	Paired            bool                           `json:"paired"`      // whether both were evaluated on the same test puzzles
	Comparisons       int                            `json:"comparisons"` // of the report, whose intervals hold together with 95%
	CILow             *float64                       `json:"ci_low"`
	CIHigh            *float64                       `json:"ci_high"`
	P                 *float64                       `json:"p"`
	PCorrected        *float64                       `json:"p_corrected"` // at most 0.05 exactly if the interval leaves out 0
	PAtFloor          bool                           `json:"p_at_floor"`  // both p are upper bounds: no resample was as extreme
	Underpowered      bool                           `json:"underpowered"`
	MDE               *float64                       `json:"minimal_detectable_difference"`
	Note              string                         `json:"note,omitempty"` // reasons why values are not known
	Puzzles           int                            `json:"puzzles"`
	PaperExact        *float64                       `json:"paper_exact_accuracy"`
	PaperNote         string                         `json:"paper_note,omitempty"`
	WallSeconds       float64                        `json:"wall_seconds"`    // the sum of all buckets, time in the queue included
	PredictedHours    float64                        `json:"predicted_hours"` // sum over the finished seeds; of one seed if none is finished
	Preemptions       int                            `json:"preemptions"`
	LostSteps         int64                          `json:"lost_steps"`
	TotalFLOPs        float64                        `json:"total_flops"`
	Goodput           float64                        `json:"goodput"` // training seconds / seconds in a slot
	Seconds           protocol.Goodput               `json:"ledger"`  // bucket -> seconds, summed over seeds
	Slots             map[string]protocol.Accounting `json:"slots"`   // run -> accounting of its slot, if the sweep recorded it
	DatasetHash       string                         `json:"dataset_hash"`
	CodeVersion       string                         `json:"code_version"` // several are separated by commas
	StateSHA256       []string                       `json:"state_sha256"` // final state of each of Runs

	spec    experiment.Spec
	results []protocol.RunResult
}

// makeRows groups entries by experiment, in order of first mention, and compares
// each with its reference over the test puzzles of the final evaluation.
func makeRows(entries []Entry, sets Datasets) []Row {
	var rows []Row
	index := map[string]int{}
	for _, e := range entries {
		i, seen := index[e.Spec.Name]
		if !seen {
			i = len(rows)
			index[e.Spec.Name] = i
			rows = append(rows, newRow(e.Spec))
		}
		rows[i].add(e)
	}
	for i := range rows {
		rows[i].summarize()
		for j := range rows {
			if i != j && rows[i].SpecHash == rows[j].SpecHash {
				rows[i].SharedWith = append(rows[i].SharedWith, rows[j].Experiment)
			}
		}
	}
	compareAll(rows, index, sets)
	return rows
}

func newRow(s experiment.Spec) Row {
	r := Row{
		Experiment:     s.Name,
		Phase:          s.Phase,
		Status:         "missing",
		Reference:      s.Reference,
		Seeds:          []int64{},
		WantedSeeds:    []int64{},
		Runs:           []string{},
		SpecHash:       s.Hash(),
		Params:         s.Params(),
		Steps:          s.TotalSteps(),
		Batch:          s.GlobalBatchSize,
		TrainingFLOPs:  s.TrainingFLOPs(),
		PaperNote:      s.PaperNote,
		PredictedHours: s.EstimatedHours(experiment.V4Chip),
		TotalFLOPs:     s.TotalFLOPs(),
		Seconds:        protocol.Goodput{},
		Slots:          map[string]protocol.Accounting{},
		StateSHA256:    []string{},
		spec:           s,
	}
	if s.PaperExactAccuracy > 0 {
		r.PaperExact = ptr(s.PaperExactAccuracy / 100)
	}
	return r
}

// add adds an entry to the row. It ignores the result of a seed that the row has already.
func (r *Row) add(e Entry) {
	if !slices.Contains(r.WantedSeeds, e.Spec.Seed) {
		r.WantedSeeds = append(r.WantedSeeds, e.Spec.Seed)
	}
	if e.Result == nil {
		if e.Failure != "" {
			r.Failure = e.Failure
		}
		if e.Stopped != "" && !slices.Contains(strings.Split(r.Stopped, "; "), e.Stopped) {
			r.Stopped = strings.TrimPrefix(r.Stopped+"; "+e.Stopped, "; ")
		}
		return
	}
	if r.seed(e.Result.Seed) != nil {
		return
	}
	if err := check(*e.Result); err != nil {
		r.Failure = err.Error()
		return
	}
	r.results = append(r.results, *e.Result)
	if e.Slot != nil {
		r.Slots[e.Result.Run] = *e.Slot
	}
}

// check returns an error if a result cannot be reported.
func check(r protocol.RunResult) error {
	for _, x := range []float64{r.Final.ExactAccuracy, r.Final.CellAccuracy, r.Best.ExactAccuracy} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("the result of run %s has an accuracy that is not a number", r.Run)
		}
	}
	for _, bits := range []string{r.FinalCorrect, r.BestCorrect} {
		if _, err := protocol.ParseBitmap(bits); err != nil {
			return fmt.Errorf("the result of run %s cannot be read: %w", r.Run, err)
		}
	}
	return nil
}

func (r *Row) note(format string, args ...any) {
	if r.Note != "" {
		r.Note += "; "
	}
	r.Note += fmt.Sprintf(format, args...)
}

// orElse returns x, or other if x is not positive, that is, not known.
func orElse(x, other float64) float64 {
	if x > 0 {
		return x
	}
	return other
}

func ptr(x float64) *float64 { return &x }

func (r *Row) summarize() {
	switch {
	case r.Failure != "":
		r.Status = "failed"
	case r.Stopped != "":
		r.Status = "stopped"
	}
	n := float64(len(r.results))
	if n == 0 {
		return
	}
	r.Status = "done"
	if len(r.results) < len(r.WantedSeeds) {
		r.Status = "partial"
	}
	var best, final, cell float64
	var finals []float64
	var slots protocol.Accounting
	var codes []string
	planned := r.PredictedHours
	r.PredictedHours = 0
	for _, x := range r.results {
		b, _ := x.BestEval()
		if r.BestPuzzles == 0 || b.Puzzles < r.BestPuzzles {
			r.BestPuzzles = b.Puzzles
		}
		if b.Puzzles != x.Final.Puzzles {
			r.note("the best accuracy of seed %d is over %s, the final one over %d: its checkpoint was not evaluated on all",
				x.Seed, count(b.Puzzles, "test puzzle"), x.Final.Puzzles)
		}
		best += b.ExactAccuracy / n
		final += x.Final.ExactAccuracy / n
		cell += x.Final.CellAccuracy / n
		finals = append(finals, x.Final.ExactAccuracy)
		r.Seeds = append(r.Seeds, x.Seed)
		r.Runs = append(r.Runs, x.Run)
		r.StateSHA256 = append(r.StateSHA256, x.StateSHA256)
		slots.Add(r.accounting(x))
		r.PredictedHours += orElse(x.PredictedHours, planned)
		if x.Imported != nil {
			r.note("seed %d started from imported weights: %s", x.Seed, *x.Imported)
		}
		if !slices.Contains(codes, x.CodeVersion) {
			codes = append(codes, x.CodeVersion)
		}
	}
	first := r.results[0]
	firstBest, _ := first.BestEval()
	r.Steps = first.Steps
	r.BestStep = firstBest.Step
	r.Puzzles = first.Final.Puzzles
	r.DatasetHash = first.DatasetHash
	r.CodeVersion = strings.Join(codes, ", ")
	r.BestExactAccuracy, r.FinalExact, r.CellAccuracy = ptr(best), ptr(final), ptr(cell)
	if ci := finalInterval(r.results...); ci != [2]float64{} {
		r.FinalCILow, r.FinalCIHigh = ptr(ci[0]), ptr(ci[1])
	}
	if n > 1 {
		r.SeedDeviation = ptr(deviation(finals) * math.Sqrt(n/(n-1)))
	}
	r.Seconds = slots.Goodput
	r.WallSeconds = slots.WallSeconds
	r.Preemptions = slots.Preemptions
	r.LostSteps = slots.LostSteps
	r.Goodput = slots.Share()
	for _, slot := range r.Slots {
		if slot.FromStep > 0 {
			r.note("an earlier sweep trained to step %d, its time is not counted here", slot.FromStep)
			break
		}
	}
	if off := slots.Gap(); off > 0.01 {
		r.note("the buckets are %.1f%% off the wall clock", 100*off)
	}
}

// finalInterval is the interval of the mean final accuracy of runs that differ in their seed, zero if it is not known.
func finalInterval(results ...protocol.RunResult) [2]float64 {
	flags := make([][]bool, len(results))
	for i, r := range results {
		flags[i] = solved(r)
	}
	low, high, _ := accuracyInterval(flags)
	return [2]float64{low, high}
}

// inSlot returns the seconds that the row's runs spent in slots, which excludes time in the queue.
func (r Row) inSlot() float64 {
	return protocol.Accounting{WallSeconds: r.WallSeconds, Goodput: r.Seconds}.InSlot()
}

// accounting returns the accounting of one of the row's results.
func (r Row) accounting(x protocol.RunResult) protocol.Accounting {
	if slot, ok := r.Slots[x.Run]; ok {
		return accountingOf(x, &slot)
	}
	return accountingOf(x, nil)
}

// accountingOf returns the accounting of a run: that of its slot if the sweep recorded
// it, else that of its training processes, which count neither time in a queue nor lost steps.
func accountingOf(r protocol.RunResult, slot *protocol.Accounting) protocol.Accounting {
	if slot != nil && slot.WallSeconds > 0 {
		return *slot
	}
	return protocol.Accounting{WallSeconds: r.WallSeconds, Goodput: r.GoodputSeconds, Preemptions: r.Preemptions}
}
