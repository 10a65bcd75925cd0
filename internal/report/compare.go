package report

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

// compareAll fills in the differences from the references, with intervals that hold together.
func compareAll(rows []Row, index map[string]int, sets Datasets) {
	var compared []int
	differences := map[int]difference{}
	for i := range rows {
		r := &rows[i]
		j, ok := index[r.Reference]
		sameRun := ok && rows[j].SpecHash == r.SpecHash // the reference itself, under another name
		if sameRun || r.Reference == r.Experiment {
			r.Reference = ""
			continue
		}
		if ok {
			r.setUp(rows[j])
		}
		if len(r.results) == 0 {
			continue
		}
		if !ok {
			r.note("its reference %s is not in this report", r.Reference)
			continue
		}
		if d, ok := r.against(rows[j], sets); ok {
			differences[i] = d
			compared = append(compared, i)
		}
	}
	level := alpha / float64(max(1, len(compared)))
	for _, i := range compared {
		iv := differences[i].interval(level, resamples(level))
		rows[i].setInterval(iv, len(compared))
	}
}

func (r *Row) setInterval(iv Interval, comparisons int) {
	p, mde := corrected(iv.P, comparisons), iv.Detectable(comparisons)
	r.Delta = ptr(iv.Delta)
	r.CILow = ptr(iv.Low)
	r.CIHigh = ptr(iv.High)
	r.P = ptr(iv.P)
	r.PAtFloor = iv.AtFloor
	r.PCorrected = ptr(p)
	r.Comparisons = comparisons
	r.ComparedSeeds = iv.Seeds
	r.MDE = ptr(mde)
	r.Underpowered = !significant(*r) && mde > interesting
}

// significant says whether the interval of the difference leaves out 0.
func significant(r Row) bool {
	if r.CILow == nil {
		return false
	}
	return *r.CILow > 0 || *r.CIHigh < 0
}

// setUp says what the row changes against its reference, and at what cost.
func (r *Row) setUp(ref Row) {
	r.Changes = experiment.Changes(ref.spec, r.spec)
	r.StepsRatio = float64(r.Steps) / float64(ref.Steps)
	r.ComputeRatio = r.TrainingFLOPs / ref.TrainingFLOPs
	r.UnequalCompute = unequalCompute(r.ComputeRatio)
}

// equalCompute is how far the training work of two experiments may be apart, as a share, to be called equal.
const equalCompute = 0.05

// unequalCompute says whether a ratio of training work is not about 1.
func unequalCompute(ratio float64) bool { return math.Abs(ratio-1) > equalCompute }

// against returns the difference of final accuracies between a row and its reference. ok is
// false if they cannot be compared; then Note says why.
func (r *Row) against(ref Row, sets Datasets) (d difference, ok bool) {
	switch {
	case len(ref.results) == 0:
		r.note("%s has no result to compare with", ref.Experiment)
		return d, false
	case !slices.ContainsFunc(r.results, func(x protocol.RunResult) bool { return ref.seed(x.Seed) != nil }):
		r.note("no seed in common with %s", ref.Experiment)
		return d, false
	}
	same := true
	for _, x := range r.results {
		if y := ref.seed(x.Seed); y != nil {
			same = same && sets.sameTest(x, *y) && sets.sameTest(x, r.results[0])
		}
	}
	a, b := pairs(r.results, ref)
	if same {
		if d, r.Paired = paired(a, b); r.Paired {
			return d, true
		}
	}
	if d, ok = unpaired(a, b); !ok {
		r.note("the results do not say which puzzles were solved")
	}
	return d, ok
}

// seed returns the result with this seed, nil if there is none.
func (r Row) seed(seed int64) *protocol.RunResult {
	for i := range r.results {
		if r.results[i].Seed == seed {
			return &r.results[i]
		}
	}
	return nil
}

// pairs returns the flags of puzzles that the final evaluations of x and ref solved, for every seed that both have.
func pairs(x []protocol.RunResult, ref Row) (a, b [][]bool) {
	for _, rx := range x {
		if ry := ref.seed(rx.Seed); ry != nil {
			a, b = append(a, solved(rx)), append(b, solved(*ry))
		}
	}
	return a, b
}

// solved are the flags of the puzzles that the final evaluation solved. makeRows keeps no result
// with a bitmap that cannot be parsed.
func solved(r protocol.RunResult) []bool {
	flags, _ := protocol.ParseBitmap(r.FinalCorrect)
	return flags
}

// Comparison is the outcome of Compare. Accuracies are fractions.
type Comparison struct {
	RunA           string                  `json:"run_a"`
	RunB           string                  `json:"run_b"`
	FinalCIA       [2]float64              `json:"final_ci_a"` // 95%, by Wilson's method
	FinalCIB       [2]float64              `json:"final_ci_b"`
	OutcomeA       protocol.Outcome        `json:"outcome_a"`
	OutcomeB       protocol.Outcome        `json:"outcome_b"`
	StepsA         int64                   `json:"steps_a"`
	StepsB         int64                   `json:"steps_b"`
	ComputeA       float64                 `json:"training_flops_a"`
	ComputeB       float64                 `json:"training_flops_b"`
	UnequalCompute bool                    `json:"unequal_compute"`
	Delta          float64                 `json:"delta"` // final a - final b
	CILow          *float64                `json:"ci_low"`
	CIHigh         *float64                `json:"ci_high"`
	P              *float64                `json:"p"`
	PAtFloor       bool                    `json:"p_at_floor"` // p is an upper bound
	MDE            *float64                `json:"minimal_detectable_difference"`
	Puzzles        int                     `json:"puzzles"`
	Differences    []experiment.Difference `json:"differences"` // spec keys with both values
	SameState      bool                    `json:"same_state"`  // bit for bit the same training state
	CodeA          string                  `json:"code_version_a"`
	CodeB          string                  `json:"code_version_b"`
	ImportedA      *protocol.Imported      `json:"imported_a,omitempty"` // the source of the weights at step 0; nil: initialised from the seed
	ImportedB      *protocol.Imported      `json:"imported_b,omitempty"`
}

// ErrTestSets says that two runs were not evaluated on the same test puzzles.
var ErrTestSets = errors.New("different test puzzles")

// Compare returns the difference of two runs in final exact accuracy over their common
// test puzzles, and the specification keys in which they differ. It returns
// ErrTestSets if they were not evaluated on the same test puzzles.
func Compare(a, b protocol.RunResult, sets Datasets) (Comparison, error) {
	c := Comparison{
		RunA:        a.Run,
		RunB:        b.Run,
		OutcomeA:    a.Outcome(),
		OutcomeB:    b.Outcome(),
		StepsA:      a.Steps,
		StepsB:      b.Steps,
		ComputeA:    a.Spec.TrainingFLOPs(),
		ComputeB:    b.Spec.TrainingFLOPs(),
		Delta:       a.Final.ExactAccuracy - b.Final.ExactAccuracy,
		Puzzles:     a.Final.Puzzles,
		Differences: experiment.Differences(a.Spec, b.Spec),
		SameState:   a.StateSHA256 != "" && a.StateSHA256 == b.StateSHA256,
		CodeA:       a.CodeVersion,
		CodeB:       b.CodeVersion,
		ImportedA:   a.Imported,
		ImportedB:   b.Imported,
	}
	c.UnequalCompute = unequalCompute(c.ComputeA / c.ComputeB)
	if !sets.sameTest(a, b) {
		return c, fmt.Errorf("compare %s with %s: %w: their datasets are %.12s and %.12s; "+
			"runs can be compared if data_source, data_test_puzzles and data_seed are the same",
			a.Run, b.Run, ErrTestSets, a.DatasetHash, b.DatasetHash)
	}
	if a.Final.Puzzles != b.Final.Puzzles {
		return c, fmt.Errorf("compare %s with %s: %w: the final evaluation was over %d and over %d of them; final_eval_puzzles must be the same",
			a.Run, b.Run, ErrTestSets, a.Final.Puzzles, b.Final.Puzzles)
	}
	fa, err := protocol.ParseBitmap(a.FinalCorrect)
	if err != nil {
		return c, fmt.Errorf("read result of %s: %w", a.Run, err)
	}
	fb, err := protocol.ParseBitmap(b.FinalCorrect)
	if err != nil {
		return c, fmt.Errorf("read result of %s: %w", b.Run, err)
	}
	c.FinalCIA = finalInterval(a)
	c.FinalCIB = finalInterval(b)
	if iv, ok := PairedBootstrap([][]bool{fa}, [][]bool{fb}); ok {
		c.CILow = ptr(iv.Low)
		c.CIHigh = ptr(iv.High)
		c.P = ptr(iv.P)
		c.PAtFloor = iv.AtFloor
		c.MDE = ptr(iv.Detectable(1))
	}
	return c, nil
}
