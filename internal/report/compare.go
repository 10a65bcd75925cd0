package report

import (
	"errors"
	"fmt"
	"slices"

	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

// compareAll fills in the differences from the references. Holm's correction covers every distinct comparison.
func compareAll(rows []Row, index map[string]int, sets Datasets) {
	var compared []int
	var ps []float64
	intervals := map[int]Interval{}
	for i := range rows {
		r := &rows[i]
		j, ok := index[r.Reference]
		sameRun := ok && rows[j].SpecHash == r.SpecHash // the reference itself, under another name
		if sameRun || r.Reference == r.Experiment {
			r.Reference = ""
			continue
		}
		if len(r.results) == 0 {
			continue
		}
		if !ok {
			r.note("its reference %s is not in this report", r.Reference)
			continue
		}
		iv, ok := r.against(rows[j], sets)
		if !ok {
			continue
		}
		intervals[i] = iv
		compared = append(compared, i)
		ps = append(ps, iv.P)
	}
	for k, p := range Holm(ps) {
		r, iv := &rows[compared[k]], intervals[compared[k]]
		mde := iv.Detectable(len(ps))
		r.setInterval(iv)
		r.PHolm = ptr(p)
		r.MDE = ptr(mde)
		r.ComparedSeeds = iv.Seeds
		r.Underpowered = underpowered(p, mde)
	}
}

func (r *Row) setInterval(iv Interval) {
	r.Delta = ptr(iv.Delta)
	r.CILow = ptr(iv.Low)
	r.CIHigh = ptr(iv.High)
	r.P = ptr(iv.P)
}

// against compares the final accuracy of a row with its reference, and the best
// accuracy if both were evaluated on the same puzzles. ok is false if they cannot be
// compared; then Note says why.
func (r *Row) against(ref Row, sets Datasets) (iv Interval, ok bool) {
	switch {
	case len(ref.results) == 0:
		r.note("%s has no result to compare with", ref.Experiment)
		return iv, false
	case !slices.ContainsFunc(r.results, func(x protocol.RunResult) bool { return ref.seed(x.Seed) != nil }):
		r.note("no seed in common with %s", ref.Experiment)
		return iv, false
	}
	same := true
	for _, x := range r.results {
		if y := ref.seed(x.Seed); y != nil {
			same = same && sets.sameTest(x, *y) && sets.sameTest(x, r.results[0])
		}
	}
	if a, b := pairs(r.results, ref, bestFlags); same {
		if iv, ok := PairedBootstrap(a, b); ok {
			r.BestDelta, r.BestCILow, r.BestCIHigh = ptr(iv.Delta), ptr(iv.Low), ptr(iv.High)
		}
	}
	a, b := pairs(r.results, ref, finalFlags)
	if same {
		if iv, r.Paired = PairedBootstrap(a, b); r.Paired {
			return iv, true
		}
	}
	if iv, ok = Unpaired(a, b); !ok {
		r.note("the results do not say which puzzles were solved")
	}
	return iv, ok
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

func finalFlags(r protocol.RunResult) string { return r.FinalCorrect }

func bestFlags(r protocol.RunResult) string {
	_, bitmap := r.BestEval()
	return bitmap
}

// pairs returns the flags of solved puzzles of x and ref for every seed that both have.
func pairs(x []protocol.RunResult, ref Row, of func(protocol.RunResult) string) (a, b [][]bool) {
	for _, rx := range x {
		ry := ref.seed(rx.Seed)
		if ry == nil {
			continue
		}
		// makeRows keeps no result with a bitmap that cannot be parsed.
		fx, _ := protocol.ParseBitmap(of(rx))
		fy, _ := protocol.ParseBitmap(of(*ry))
		a, b = append(a, fx), append(b, fy)
	}
	return a, b
}

// Comparison is the outcome of Compare. Accuracies are fractions.
type Comparison struct {
	RunA        string                  `json:"run_a"`
	RunB        string                  `json:"run_b"`
	FinalA      float64                 `json:"final_exact_accuracy_a"`
	FinalB      float64                 `json:"final_exact_accuracy_b"`
	BestA       float64                 `json:"best_exact_accuracy_a"`
	BestB       float64                 `json:"best_exact_accuracy_b"`
	Delta       float64                 `json:"delta"` // final a - final b
	CILow       *float64                `json:"ci_low"`
	CIHigh      *float64                `json:"ci_high"`
	P           *float64                `json:"p"`
	MDE         *float64                `json:"minimal_detectable_difference"`
	Puzzles     int                     `json:"puzzles"`
	Differences []experiment.Difference `json:"differences"` // spec keys with both values
	SameState   bool                    `json:"same_state"`  // bit for bit the same training state
	CodeA       string                  `json:"code_version_a"`
	CodeB       string                  `json:"code_version_b"`
	ImportedA   *protocol.Imported      `json:"imported_a,omitempty"` // the source of the weights at step 0; nil: initialised from the seed
	ImportedB   *protocol.Imported      `json:"imported_b,omitempty"`
}

// ErrTestSets says that two runs were not evaluated on the same test puzzles.
var ErrTestSets = errors.New("different test puzzles")

// Compare returns the difference of two runs in final exact accuracy over their common
// test puzzles, and the specification keys in which they differ. It returns
// ErrTestSets if they were not evaluated on the same test puzzles.
func Compare(a, b protocol.RunResult, sets Datasets) (Comparison, error) {
	bestA, _ := a.BestEval()
	bestB, _ := b.BestEval()
	c := Comparison{
		RunA:        a.Run,
		RunB:        b.Run,
		FinalA:      a.Final.ExactAccuracy,
		FinalB:      b.Final.ExactAccuracy,
		BestA:       bestA.ExactAccuracy,
		BestB:       bestB.ExactAccuracy,
		Delta:       a.Final.ExactAccuracy - b.Final.ExactAccuracy,
		Puzzles:     a.Final.Puzzles,
		Differences: experiment.Differences(a.Spec, b.Spec),
		SameState:   a.StateSHA256 != "" && a.StateSHA256 == b.StateSHA256,
		CodeA:       a.CodeVersion,
		CodeB:       b.CodeVersion,
		ImportedA:   a.Imported,
		ImportedB:   b.Imported,
	}
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
	if iv, ok := PairedBootstrap([][]bool{fa}, [][]bool{fb}); ok {
		c.CILow = ptr(iv.Low)
		c.CIHigh = ptr(iv.High)
		c.P = ptr(iv.P)
		c.MDE = ptr(iv.Detectable(1))
	}
	return c, nil
}
