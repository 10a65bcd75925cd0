package experiment

import "math"

// SwiGLUInter is the inner width of a SwiGLU over dimension dim: expansion*dim*2/3
// rounded to the nearest whole number (ties to even), then up to a multiple of 256.
func SwiGLUInter(dim int, expansion float64) int {
	inter := int(math.RoundToEven(expansion * float64(dim) * 2 / 3))
	return (inter + 255) / 256 * 256
}

// PrefixLen is the number of positions before the 81 cells that a puzzle embedding of
// ndim values takes: length, or as many as it fills if that is 0; none without an embedding.
func PrefixLen(ndim, length, hidden int) int {
	switch {
	case ndim == 0 || hidden < 1:
		return 0
	case length > 0:
		return length
	}
	return (ndim + hidden - 1) / hidden
}

// PuzzleEmbPositions is the number of positions before the 81 cells.
func (s Spec) PuzzleEmbPositions() int {
	return PrefixLen(s.PuzzleEmbNDim, s.PuzzleEmbLen, s.HiddenSize)
}

// Positions is the length of the sequence that the blocks see, 97 in the study.
func (s Spec) Positions() int { return SeqLen + s.PuzzleEmbPositions() }

// Params is the number of weights that AdamATan2 trains, the figure the paper
// gives: token embedding, lm head, q head and blocks (and learned positions),
// without the puzzle embedding and the two constant start states.
func (s Spec) Params() int64 {
	h, l := int64(s.HiddenSize), int64(s.Positions())
	swiglu := func(dim int64) int64 { return 3 * dim * int64(SwiGLUInter(int(dim), s.Expansion)) }
	mix := 4 * h * h // q, k, v and output projections
	if s.MLPT {
		mix = swiglu(l)
	}
	n := 2*VocabSize*h + 2*h + 2 + int64(s.LLayers)*(mix+swiglu(h))
	if s.PosEncodings == "learned" {
		n += l * h
	}
	return n
}

// forwardFLOPs of one example through the block stack once: 2 per
// multiply-accumulate of every matrix product. Norms, heads and the embedding
// (together below 0.1%) are left out.
func (s Spec) forwardFLOPs() float64 {
	h, l := float64(s.HiddenSize), float64(s.Positions())
	swiglu := func(dim int) float64 { return 3 * float64(dim) * float64(SwiGLUInter(dim, s.Expansion)) }
	mix := 4*h*h*l + 2*l*l*h // projections; scores and weighted sum
	if s.MLPT {
		mix = swiglu(s.Positions()) * h
	}
	return 2 * float64(s.LLayers) * (mix + swiglu(s.HiddenSize)*l)
}

// FLOPsPerStep is the floating-point work of one optimizer step over the global
// batch: T-1 cycles forward only and one forward and backward (3 times a
// forward), n+1 block stacks each, that is (T+2)(n+1) forward units. The study's
// model at batch 768 comes to 32.8 TFLOP. A learned continue value looks one
// supervision step ahead: T(n+1) more.
func (s Spec) FLOPsPerStep() float64 {
	cycles := s.HCycles + 2
	if !s.NoACTContinue && s.HaltMaxSteps > 1 {
		cycles += s.HCycles
	}
	units := float64(cycles * (s.LCycles + 1))
	return units * s.forwardFLOPs() * float64(s.GlobalBatchSize)
}

// EvalFLOPs is the work of evaluating one test puzzle: halt_max_steps supervision
// steps of T(n+1) forward units.
func (s Spec) EvalFLOPs() float64 {
	return float64(s.HaltMaxSteps*s.HCycles*(s.LCycles+1)) * s.forwardFLOPs()
}

// SudokuExtremeTest is the size of sudoku-extreme's test set, which an evaluation
// over all puzzles of an unlimited test set is assumed to have.
const SudokuExtremeTest = 422_786

// EvaluatedPuzzles is the number of test puzzles of an evaluation that is limited to n of them, 0 = all.
func (s Spec) EvaluatedPuzzles(n int) int {
	all := s.DataTestPuzzles
	if all == 0 {
		all = SudokuExtremeTest
	}
	if n == 0 || n > all {
		n = all
	}
	return n
}

// TrainingFLOPs is the work of all optimizer steps, evaluations left out: what two
// experiments that are compared should have in common.
func (s Spec) TrainingFLOPs() float64 { return float64(s.TotalSteps()) * s.FLOPsPerStep() }

// TotalFLOPs is the work of the whole run: training, an evaluation per iteration
// and the final one.
func (s Spec) TotalFLOPs() float64 {
	evals := float64(s.Iterations())*float64(s.EvaluatedPuzzles(s.EvalPuzzles)) + float64(s.EvaluatedPuzzles(s.FinalEvalPuzzles))
	return s.TrainingFLOPs() + evals*s.EvalFLOPs()
}

// ShardRows is the number of rows of a batch that are computed at once.
func (s Spec) ShardRows() int { return s.GlobalBatchSize / max(s.GradientShards, 1) }

// CheckpointBytes is the size of the arrays of one checkpoint: float32 weights,
// both moments and the EMA, the puzzle embedding (one identifier), the start
// states, and the carry of every slot in the forward type.
func (s Spec) CheckpointBytes() int64 {
	copies := int64(3)
	if s.EMA {
		copies++
	}
	h, b := int64(s.HiddenSize), int64(s.GlobalBatchSize)
	fwd := int64(4)
	if s.ForwardDType == "bfloat16" {
		fwd = 2
	}
	carry := b * (2*int64(s.Positions())*h*fwd + 2*SeqLen + 4 + 1 + 4)
	return 4*(copies*s.Params()+int64(s.PuzzleEmbNDim)+2*h) + carry
}

// StoredBytes is the size of the checkpoints that are kept of the run.
func (s Spec) StoredBytes() int64 {
	one, kept := s.CheckpointBytes(), int64(max(s.KeepCheckpoints, 1))
	if one > math.MaxInt64/kept {
		return math.MaxInt64
	}
	return one * kept
}

// Hardware is what a time estimate assumes.
type Hardware struct {
	Name        string
	Chips       int
	PeakFLOPs   float64 // per chip and second, in the forward type
	Utilisation float64 // model FLOPs used per peak FLOP, 0..1
}

// DefaultUtilisation is what a public replication reached: 65,100 steps of 32.8
// TFLOP in 1.2 hours on four GH200 (989 TFLOP/s peak each) are 12.5% of peak.
// It is not a measurement on a TPU.
const DefaultUtilisation = 0.125

// V4Chip is one chip of a TPU v4, on which one training process computes, whatever its placement.
var V4Chip = Hardware{"TPU v4 chip", 1, 275e12, DefaultUtilisation}

// A v4-64 slice is 8 hosts of 4 chips (its name counts the two cores of each).
const (
	V4SliceHosts  = 8
	V4ChipsAtHost = 4
)

// What a training process has to itself on its host.
const (
	PlacementHost = "host" // the whole host, of whose chips it uses one
	PlacementChip = "chip" // one chip: as many processes on a host as it has chips
)

// SlotsOfV4Slice is how many experiments of that placement run at once on a v4-64 slice.
func SlotsOfV4Slice(placement string) int {
	if placement == PlacementChip {
		return V4SliceHosts * V4ChipsAtHost
	}
	return V4SliceHosts
}

// FLOPs is the rate at which the hardware does useful work, per second.
func (hw Hardware) FLOPs() float64 { return float64(hw.Chips) * hw.PeakFLOPs * hw.Utilisation }

// EstimatedHours is the time of the run's matrix products on hw; waiting for a
// chip, compiling and saving come on top.
func (s Spec) EstimatedHours(hw Hardware) float64 { return s.TotalFLOPs() / hw.FLOPs() / 3600 }
