package protocol

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
)

// ResultFormat is the version of result.json.
const ResultFormat = 1

// RunResult is everything a finished run is judged by: the content of
// result.json. Accuracies are fractions in [0, 1], times are seconds.
type RunResult struct {
	Format      int             `json:"format"` // ResultFormat; Encode fills it in
	Run         string          `json:"run"`    // experiment.Spec.RunName
	Experiments []string        `json:"experiments"`
	Spec        experiment.Spec `json:"spec"`
	SpecHash    string          `json:"spec_hash"`
	Seed        int64           `json:"seed"`
	Params      int64           `json:"params"`
	Steps       int64           `json:"steps"` // optimizer steps trained

	Best  Eval   `json:"best"`  // see BestEval
	Final Eval   `json:"final"` // over final_eval_puzzles, after the last step
	Evals []Eval `json:"evals"` // while training, over eval_puzzles
	// BestFull is the evaluation of the best checkpoint of Evals over the same puzzles as Final; nil when it was not made.
	BestFull *Eval        `json:"best_full,omitempty"`
	Curve    [][2]float64 `json:"curve"` // [step, training loss per example], thinned out

	// Bit i of a bitmap (Bitmap) says whether test puzzle i of the evaluated subset was solved.
	// FinalCorrect belongs to Final; BestCorrect to BestFull if there is one, else to Best.
	FinalCorrect string `json:"final_correct,omitempty"`
	BestCorrect  string `json:"best_correct,omitempty"`

	WallSeconds    float64 `json:"wall_seconds"`
	Preemptions    int     `json:"preemptions"`
	GoodputSeconds Goodput `json:"goodput"` // of its training processes
	FLOPsPerStep   float64 `json:"flops_per_step"`
	PredictedHours float64 `json:"predicted_hours,omitempty"` // made before the run, 0 = none

	StateSHA256 string `json:"state_sha256"`
	BatchSHA256 string `json:"ledger_sha256"`
	DatasetHash string `json:"dataset_hash"`
	CodeVersion string `json:"code_version"`
	Backend     string `json:"backend"` // of the last attempt
	Computed    []Part `json:"computed,omitempty"`
	// Imported is where the weights at step 0 come from; nil: from the seed.
	Imported *Imported `json:"imported,omitempty"`
}

// Imported is the file of weights that a run was begun with.
type Imported struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

func (i Imported) String() string { return fmt.Sprintf("%s (SHA-256 %.12s)", i.File, i.SHA256) }

// Part says what computed the steps of a run from FromStep on, until the next part.
type Part struct {
	FromStep   int64  `json:"from_step"`
	Backend    string `json:"backend"`
	Arithmetic string `json:"arithmetic"` // kernels or device: other ones round otherwise
	Code       string `json:"code"`
}

// Eval is one evaluation over held-out puzzles.
type Eval struct {
	Step          int64   `json:"step"`
	ExactAccuracy float64 `json:"exact_accuracy"` // fraction of puzzles whose whole grid is right
	CellAccuracy  float64 `json:"cell_accuracy"`  // fraction of cells
	QHaltAccuracy float64 `json:"q_halt_accuracy"`
	MeanSteps     float64 `json:"mean_steps"` // supervision steps per puzzle: halt_max_steps, no puzzle of an evaluation halts earlier
	Puzzles       int     `json:"puzzles"`
}

// BestEval is the evaluation that gives the best exact accuracy, and the bitmap of the puzzles that were
// solved in it. Evaluations while training choose the best checkpoint by a part of the test puzzles; over all
// puzzles of the final evaluation, the better one of its weights and the last ones counts. If that
// checkpoint could not be read any more, the accuracy is of the part: Eval.Puzzles says of how many.
func (r RunResult) BestEval() (Eval, string) {
	switch {
	case r.BestFull != nil && r.BestFull.ExactAccuracy > r.Final.ExactAccuracy:
		return *r.BestFull, r.BestCorrect
	case r.BestFull != nil || r.Best.Step == r.Final.Step:
		return r.Final, r.FinalCorrect
	}
	return r.Best, r.BestCorrect
}

// Outcome holds the figures that rows of sweeps, search attributes and reports show of a finished
// run. All take them from here, so that a figure of one name has one value.
type Outcome struct {
	FinalExactAccuracy float64 `json:"final_exact_accuracy"` // of the weights after the last step
	BestExactAccuracy  float64 `json:"best_exact_accuracy"`  // see RunResult.BestEval
	BestStep           int64   `json:"best_step"`
	Puzzles            int     `json:"puzzles"`        // of the final evaluation
	BestPuzzles        int     `json:"best_puzzles"`   // that BestExactAccuracy was measured on; fewer only if the best checkpoint was lost
	Loss               float64 `json:"loss,omitempty"` // end of the curve of the training loss
}

// Outcome returns the figures to show of the run.
func (r RunResult) Outcome() Outcome {
	best, _ := r.BestEval()
	o := Outcome{
		FinalExactAccuracy: r.Final.ExactAccuracy,
		BestExactAccuracy:  best.ExactAccuracy,
		BestStep:           best.Step,
		Puzzles:            r.Final.Puzzles,
		BestPuzzles:        best.Puzzles,
	}
	if n := len(r.Curve); n > 0 {
		o.Loss = r.Curve[n-1][1]
	}
	return o
}

// BestText is the best exact accuracy for people. A figure of a part of the puzzles says so.
func (o Outcome) BestText() string {
	if o.BestPuzzles < o.Puzzles {
		return PartText(o.BestExactAccuracy, o.BestPuzzles)
	}
	return fmt.Sprintf("%.2f%%", 100*o.BestExactAccuracy)
}

// PartText is an exact accuracy over a part of the test puzzles for people.
func PartText(accuracy float64, puzzles int) string {
	return fmt.Sprintf("%.2f%% of %d", 100*accuracy, puzzles)
}

// Encode is the bytes of result.json.
func (r RunResult) Encode() ([]byte, error) {
	r.Format = ResultFormat
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode result of %s: %w", r.Run, err)
	}
	return append(data, '\n'), nil
}

var (
	// ErrResult: a result file cannot be used: it is damaged, of another run, or newer than this program.
	ErrResult = errors.New("no usable result")
	// ErrNewer is the ErrResult of a file that a newer version of the program wrote.
	ErrNewer = fmt.Errorf("%w: written by a newer version of this program", ErrResult)
)

// Identity is whose result is looked for. Without SpecHash, only the run's name is known.
type Identity struct {
	Run      string
	SpecHash string
	Seed     int64
}

// ReadResult reads the result of a run and checks that it is of that run, spec and seed.
// Errors: blob.ErrNotExist if the run is not finished, ErrResult (training the run again
// writes the file anew, except for ErrNewer), storage.
func ReadResult(ctx context.Context, b blob.Bucket, of Identity) (RunResult, error) {
	key := layout.RunKey(of.Run, layout.ResultFile)
	data, _, err := blob.ReadAll(ctx, b, key, 0)
	if errors.Is(err, blob.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrResult, err)
	}
	var r RunResult
	if err == nil {
		r, err = DecodeResult(data)
	}
	if err == nil {
		err = r.belongs(of)
	}
	switch {
	case errors.Is(err, ErrResult) && !errors.Is(err, ErrNewer):
		return RunResult{}, fmt.Errorf("%s: %w; the next `trmsweep train` of run %s writes it anew", key, err, of.Run)
	case err != nil:
		return RunResult{}, fmt.Errorf("read result %s: %w", key, err)
	}
	return r, nil
}

// belongs is an error if the result is not that of the run.
func (r RunResult) belongs(of Identity) error {
	hash, seed, named := layout.ParseRunName(of.Run)
	foreign := r.Run != of.Run
	switch {
	case of.SpecHash != "":
		same := r.SpecHash == of.SpecHash
		if !same { // it may be an older format's hash of the same spec
			same = r.Spec.Hash() == of.SpecHash && r.Spec.HasHash(r.SpecHash)
		}
		foreign = foreign || !same || r.Seed != of.Seed
	case named:
		same := strings.HasPrefix(r.SpecHash, hash)
		if !same { // it may be a run that an older format named, finished by this program
			same = r.Spec.HasHash(r.SpecHash) && slices.Contains(r.Spec.RunNames(), of.Run)
		}
		foreign = foreign || !same || r.Seed != seed
	}
	if !foreign {
		return nil
	}
	return fmt.Errorf("%w: it is the result of run %s (spec %.12s, seed %d), copied there", ErrResult, r.Run, r.SpecHash, r.Seed)
}

// DecodeResult reads result.json; a newer format is refused. Its errors are ErrResult.
func DecodeResult(data []byte) (RunResult, error) {
	var r RunResult
	if err := json.Unmarshal(data, &r); err != nil {
		return RunResult{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	if r.Format < 1 {
		return RunResult{}, fmt.Errorf("%w: no format in it", ErrResult)
	}
	if r.Format > ResultFormat {
		return RunResult{}, fmt.Errorf("%w: format %d, this one reads 1 to %d", ErrNewer, r.Format, ResultFormat)
	}
	return r, nil
}

// Bitmap packs flags, least significant bit first, in base64 with a leading
// length: "<count>:<base64>".
func Bitmap(flags []bool) string {
	b := make([]byte, (len(flags)+7)/8)
	for i, f := range flags {
		if f {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return fmt.Sprintf("%d:%s", len(flags), base64.StdEncoding.EncodeToString(b))
}

// ParseBitmap is the inverse of Bitmap; the empty string is no flags.
func ParseBitmap(s string) ([]bool, error) {
	if s == "" {
		return nil, nil
	}
	var n int
	var text string
	if _, err := fmt.Sscanf(s, "%d:%s", &n, &text); err != nil && !(n == 0 && s == "0:") {
		return nil, fmt.Errorf("bitmap %.20q: want COUNT:BASE64", s)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("bitmap %.20q: %w", s, err)
	}
	if n < 0 || len(b) != (n+7)/8 {
		return nil, fmt.Errorf("bitmap %.20q: %d bytes for %d flags", s, len(b), n)
	}
	flags := make([]bool, n)
	for i := range flags {
		flags[i] = b[i/8]>>(i%8)&1 == 1
	}
	return flags, nil
}
