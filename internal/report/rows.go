package report

import (
	"fmt"
	"slices"

	"trmsweep/internal/experiment"
)

// Entry is one experiment of a sweep with one seed: its spec and, once it is
// finished, its result. Failure says why there will be none.
type Entry struct {
	Spec    experiment.Spec
	Result  *RunResult
	Failure string
}

// Row is one experiment of results.json and `report --json`. Accuracies are
// fractions, means over seeds; nil means not known.
type Row struct {
	Experiment        string             `json:"experiment"`
	Phase             string             `json:"phase"`
	Status            string             `json:"status"` // done, failed, missing; partial where only some seeds are done
	Failure           string             `json:"failure,omitempty"`
	Reference         string             `json:"reference"` // empty for the reference itself
	SharedWith        []string           `json:"shared_with,omitempty"`
	Seeds             []int64            `json:"seeds"` // finished ones
	Runs              []string           `json:"runs"`
	SpecHash          string             `json:"spec_hash"`
	Params            int64              `json:"params"`
	Steps             int64              `json:"steps"`
	BestExactAccuracy *float64           `json:"best_exact_accuracy"`
	BestStep          int64              `json:"best_step"`
	FinalExact        *float64           `json:"final_exact_accuracy"`
	CellAccuracy      *float64           `json:"cell_accuracy"` // final
	Delta             *float64           `json:"delta"`         // of final exact accuracy
	BestDelta         *float64           `json:"best_delta"`    // of best exact accuracy, where both were judged on the same puzzles
	BestCILow         *float64           `json:"best_ci_low"`
	BestCIHigh        *float64           `json:"best_ci_high"`
	Paired            bool               `json:"paired"` // over the same test puzzles; false where the datasets differ
	CILow             *float64           `json:"ci_low"`
	CIHigh            *float64           `json:"ci_high"`
	P                 *float64           `json:"p"`
	PHolm             *float64           `json:"p_holm"`
	Underpowered      bool               `json:"underpowered"`
	MDE               *float64           `json:"minimal_detectable_difference"`
	Puzzles           int                `json:"puzzles"`
	PaperExact        *float64           `json:"paper_exact_accuracy"`
	PaperNote         string             `json:"paper_note,omitempty"`
	WallSeconds       float64            `json:"wall_seconds"`
	PredictedHours    float64            `json:"predicted_hours"` // of all finished seeds; of one where there is none
	Preemptions       int                `json:"preemptions"`
	LostSteps         int64              `json:"lost_steps"`
	TotalFLOPs        float64            `json:"total_flops"`
	Goodput           float64            `json:"goodput"` // training seconds / all seconds of the ledger
	Ledger            map[string]float64 `json:"ledger"`  // bucket -> seconds
	DatasetHash       string             `json:"dataset_hash"`
	CodeVersion       string             `json:"code_version"`

	spec    experiment.Spec
	results []RunResult
}

// Rows groups entries by experiment, in order of first mention, and compares
// each with its reference over the test puzzles of the final evaluation.
func Rows(entries []Entry) ([]Row, error) {
	var rows []Row
	index := map[string]int{}
	for _, e := range entries {
		i, seen := index[e.Spec.Name]
		if !seen {
			i = len(rows)
			index[e.Spec.Name] = i
			rows = append(rows, newRow(e.Spec))
		}
		r := &rows[i]
		switch {
		case e.Result != nil:
			r.results = append(r.results, *e.Result)
		case e.Failure != "":
			r.Failure = e.Failure
		}
	}
	for i := range rows {
		rows[i].summarize()
		for j := range rows {
			if i != j && rows[i].SpecHash == rows[j].SpecHash {
				rows[i].SharedWith = append(rows[i].SharedWith, rows[j].Experiment)
			}
		}
	}
	return rows, compareAll(rows, index)
}

func newRow(s experiment.Spec) Row {
	r := Row{Experiment: s.Name, Phase: s.Phase, Reference: s.Reference, SpecHash: s.Hash(), Params: s.Params(), Steps: s.TotalSteps(),
		PaperNote: s.PaperNote, TotalFLOPs: s.TotalFLOPs(), PredictedHours: s.EstimatedHours(experiment.V4Host),
		Seeds: []int64{}, Runs: []string{}, Ledger: map[string]float64{}, Status: "missing", spec: s}
	if s.PaperExactAccuracy > 0 {
		r.PaperExact = ptr(s.PaperExactAccuracy / 100)
	}
	return r
}

// orElse is x, or other where x is not known.
func orElse(x, other float64) float64 {
	if x > 0 {
		return x
	}
	return other
}

func ptr(x float64) *float64 { return &x }

func (r *Row) summarize() {
	if r.Failure != "" {
		r.Status = "failed"
	}
	n := float64(len(r.results))
	if n == 0 {
		return
	}
	r.Status = "done"
	if r.Failure != "" {
		r.Status = "partial"
	}
	var best, final, cell, all float64
	for _, x := range r.results {
		b, _ := x.best()
		best += b.ExactAccuracy / n
		final += x.Final.ExactAccuracy / n
		cell += x.Final.CellAccuracy / n
		r.Seeds = append(r.Seeds, x.Seed)
		r.Runs = append(r.Runs, x.Run)
		r.WallSeconds += x.WallSeconds
		r.Preemptions += x.Preemptions
		r.LostSteps += x.LostSteps
		for k, v := range x.GoodputSeconds {
			r.Ledger[k] += v
			all += v
		}
	}
	last := r.results[len(r.results)-1]
	lastBest, _ := last.best()
	r.Steps, r.BestStep, r.Puzzles, r.DatasetHash, r.CodeVersion = last.Steps, lastBest.Step, last.Final.Puzzles, last.DatasetHash, last.CodeVersion
	planned := r.PredictedHours
	r.PredictedHours = 0
	for _, x := range r.results {
		r.PredictedHours += orElse(x.PredictedHours, planned)
	}
	r.BestExactAccuracy, r.FinalExact, r.CellAccuracy = ptr(best), ptr(final), ptr(cell)
	if all > 0 {
		r.Goodput = r.Ledger["training"] / all
	}
}

// compareAll fills in differences; Holm's correction is over every distinct comparison.
func compareAll(rows []Row, index map[string]int) error {
	var compared []int
	var ps []float64
	intervals := map[int]Interval{}
	for i := range rows {
		r := &rows[i]
		j, ok := index[r.Reference]
		if ok && rows[j].SpecHash == r.SpecHash || r.Reference == r.Experiment {
			r.Reference = "" // it is the reference, perhaps under another name
			continue
		}
		if !ok {
			continue
		}
		if err := r.compareBest(rows[j]); err != nil {
			return err
		}
		a, b, err := paired(r.results, rows[j].results, finalFlags)
		if err != nil {
			return err
		}
		iv, ok := PairedBootstrap(a, b)
		r.Paired = ok && r.DatasetHash == rows[j].DatasetHash
		if !r.Paired {
			if iv, ok = Unpaired(a, b); !ok {
				continue
			}
		}
		intervals[i] = iv
		compared = append(compared, i)
		ps = append(ps, iv.P)
	}
	for k, p := range Holm(ps) {
		r, iv := &rows[compared[k]], intervals[compared[k]]
		r.Delta, r.CILow, r.CIHigh, r.P, r.PHolm, r.MDE = ptr(iv.Delta), ptr(iv.Low), ptr(iv.High), ptr(iv.P), ptr(p), ptr(iv.MDE)
		r.Underpowered = iv.Underpowered(p)
	}
	return nil
}

// compareBest fills in the difference of best exact accuracy.
func (r *Row) compareBest(ref Row) error {
	a, b, err := paired(r.results, ref.results, bestFlags)
	if err != nil {
		return err
	}
	if iv, ok := PairedBootstrap(a, b); ok && r.DatasetHash == ref.DatasetHash {
		r.BestDelta, r.BestCILow, r.BestCIHigh = ptr(iv.Delta), ptr(iv.Low), ptr(iv.High)
	}
	return nil
}

func finalFlags(r RunResult) string { return r.FinalCorrect }

func bestFlags(r RunResult) string {
	_, bitmap := r.best()
	return bitmap
}

// paired are the solved flags of the seeds that both have.
func paired(x, y []RunResult, of func(RunResult) string) (a, b [][]bool, err error) {
	for _, rx := range x {
		k := slices.IndexFunc(y, func(ry RunResult) bool { return ry.Seed == rx.Seed })
		if k < 0 {
			continue
		}
		fx, err := ParseBitmap(of(rx))
		if err != nil {
			return nil, nil, fmt.Errorf("read result of %s: %w", rx.Run, err)
		}
		fy, err := ParseBitmap(of(y[k]))
		if err != nil {
			return nil, nil, fmt.Errorf("read result of %s: %w", y[k].Run, err)
		}
		a, b = append(a, fx), append(b, fy)
	}
	return a, b, nil
}

// Comparison is the outcome of Compare.
type Comparison struct {
	RunA        string   `json:"run_a"`
	RunB        string   `json:"run_b"`
	FinalA      float64  `json:"final_exact_accuracy_a"`
	FinalB      float64  `json:"final_exact_accuracy_b"`
	BestA       float64  `json:"best_exact_accuracy_a"`
	BestB       float64  `json:"best_exact_accuracy_b"`
	Delta       float64  `json:"delta"` // final a - final b
	CILow       *float64 `json:"ci_low"`
	CIHigh      *float64 `json:"ci_high"`
	P           *float64 `json:"p"`
	Differences []string `json:"differences"` // spec keys with both values
	SameState   bool     `json:"same_state"`  // bit for bit the same training state
}

// Compare sets two runs against each other: the difference of final exact
// accuracy over their common test puzzles, and what their specs differ in. It has
// no interval where they were not evaluated on the same number of puzzles of one dataset.
func Compare(a, b RunResult) (Comparison, error) {
	c := Comparison{RunA: a.Run, RunB: b.Run, FinalA: a.Final.ExactAccuracy, FinalB: b.Final.ExactAccuracy, BestA: a.Best.ExactAccuracy, BestB: b.Best.ExactAccuracy,
		Delta: a.Final.ExactAccuracy - b.Final.ExactAccuracy, SameState: a.StateSHA256 != "" && a.StateSHA256 == b.StateSHA256, Differences: differences(a.Spec, b.Spec)}
	fa, err := ParseBitmap(a.FinalCorrect)
	if err != nil {
		return c, fmt.Errorf("read result of %s: %w", a.Run, err)
	}
	fb, err := ParseBitmap(b.FinalCorrect)
	if err != nil {
		return c, fmt.Errorf("read result of %s: %w", b.Run, err)
	}
	if iv, ok := PairedBootstrap([][]bool{fa}, [][]bool{fb}); ok && a.DatasetHash == b.DatasetHash {
		c.CILow, c.CIHigh, c.P = ptr(iv.Low), ptr(iv.High), ptr(iv.P)
	}
	return c, nil
}
