package trm

import (
	"errors"
	"fmt"
	"slices"

	"trmsweep/internal/experiment"
)

// SeqLen is the number of cells of a puzzle.
const SeqLen = experiment.SeqLen

// Config is everything that the graphs depend on. Names are the reference's.
type Config struct {
	BatchSize            int // rows of a batch
	Shards               int // equal parts that a batch is cut into, a power of two; 0 = 1
	GlobalBatchSize      int // rows that the gradient is the mean over
	SeqLen, VocabSize    int
	NumPuzzleIdentifiers int
	PuzzleEmbNDim        int // 0 = no puzzle embedding
	PuzzleEmbLen         int // 0 = as many positions as NDim needs
	HCycles, LCycles     int // T, n
	LLayers              int
	HiddenSize, NumHeads int
	Expansion            float64
	MLPT                 bool
	PosEncodings         string // none, learned, rope
	RMSNormEps           float64
	RoPETheta            float64
	HaltMaxSteps         int
	NoACTContinue        bool
	ForwardDType         string // float32, bfloat16
	LossType             string // stablemax_cross_entropy, softmax_cross_entropy
	FreezeWeights        bool   // only the puzzle embedding is trained

	WeightDecay, Beta1, Beta2 float64
	PuzzleEmbWeightDecay      float64
	EMA                       bool
	EMARate                   float64
}

// ConfigFromSpec is the model of one experiment on a data set with that many puzzle identifiers.
func ConfigFromSpec(s experiment.Spec, numPuzzleIdentifiers int) Config {
	return Config{
		BatchSize:            s.GlobalBatchSize,
		Shards:               s.GradientShards,
		GlobalBatchSize:      s.GlobalBatchSize,
		SeqLen:               SeqLen,
		VocabSize:            experiment.VocabSize,
		NumPuzzleIdentifiers: numPuzzleIdentifiers,
		PuzzleEmbNDim:        s.PuzzleEmbNDim,
		PuzzleEmbLen:         s.PuzzleEmbLen,
		HCycles:              s.HCycles,
		LCycles:              s.LCycles,
		LLayers:              s.LLayers,
		HiddenSize:           s.HiddenSize,
		NumHeads:             s.NumHeads,
		Expansion:            s.Expansion,
		MLPT:                 s.MLPT,
		PosEncodings:         s.PosEncodings,
		RMSNormEps:           1e-5,
		RoPETheta:            10000,
		HaltMaxSteps:         s.HaltMaxSteps,
		NoACTContinue:        s.NoACTContinue,
		ForwardDType:         s.ForwardDType,
		LossType:             s.LossType,
		FreezeWeights:        s.FreezeWeights,
		WeightDecay:          s.WeightDecay,
		Beta1:                s.Beta1,
		Beta2:                s.Beta2,
		PuzzleEmbWeightDecay: s.PuzzleEmbWeightDecay,
		EMA:                  s.EMA,
		EMARate:              s.EMARate,
	}
}

// Validate reports every fault of the configuration at once. A Config of a valid experiment.Spec has none;
// this is for those that are made by hand (tests, benchmarks), which the rules of a specification, about keys
// and costs, do not fit.
func (c Config) Validate() error {
	var faults []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf("model: "+format, args...))
		}
	}
	for _, f := range []struct {
		name string
		v    int
	}{{"batch size", c.BatchSize}, {"global batch size", c.GlobalBatchSize}, {"sequence length", c.SeqLen}, {"vocabulary", c.VocabSize},
		{"puzzle identifiers", c.NumPuzzleIdentifiers}, {"H_cycles", c.HCycles}, {"L_cycles", c.LCycles}, {"L_layers", c.LLayers},
		{"hidden_size", c.HiddenSize}, {"num_heads", c.NumHeads}, {"halt_max_steps", c.HaltMaxSteps}} {
		bad(f.v < 1, "%s is %d, must be at least 1", f.name, f.v)
	}
	n := c.shardCount()
	bad(n < 0 || n&(n-1) != 0, "%d shards, must be a power of two", n)
	bad(n > 0 && c.BatchSize%n != 0, "a batch of %d rows cannot be cut into %d equal shards", c.BatchSize, n)
	bad(c.NumHeads > 0 && c.HiddenSize%c.NumHeads != 0, "hidden_size %d is not divisible by num_heads %d", c.HiddenSize, c.NumHeads)
	bad(c.PosEncodings == "rope" && c.NumHeads > 0 && c.HiddenSize/c.NumHeads%2 != 0,
		"rope needs an even head size, hidden_size/num_heads is %d/%d", c.HiddenSize, c.NumHeads)
	bad(!slices.Contains([]string{"none", "learned", "rope"}, c.PosEncodings), "pos_encodings %q is not none, learned or rope", c.PosEncodings)
	bad(!slices.Contains([]string{"float32", "bfloat16"}, c.ForwardDType), "forward_dtype %q is not float32 or bfloat16", c.ForwardDType)
	bad(!slices.Contains([]string{"stablemax_cross_entropy", "softmax_cross_entropy"}, c.LossType),
		"loss_type %q is not stablemax_cross_entropy or softmax_cross_entropy", c.LossType)
	bad(c.PuzzleEmbNDim < 0 || c.PuzzleEmbLen < 0, "puzzle embedding of %d values over %d positions", c.PuzzleEmbNDim, c.PuzzleEmbLen)
	bad(c.PuzzleEmbNDim > c.PrefixLen()*c.HiddenSize,
		"puzzle_emb_ndim %d does not fit into %d positions of %d", c.PuzzleEmbNDim, c.PrefixLen(), c.HiddenSize)
	bad(!(c.Expansion > 0), "expansion is %v, must be positive", c.Expansion)
	return errors.Join(faults...)
}

// shardCount is the number of shards of a batch.
func (c Config) shardCount() int {
	if c.Shards == 0 {
		return 1
	}
	return c.Shards
}

// shardRows is the number of rows that one execution of the gradients program computes.
func (c Config) shardRows() int { return c.BatchSize / c.shardCount() }

// PrefixLen is the number of positions before the cells, 0 without a puzzle embedding.
func (c Config) PrefixLen() int {
	return experiment.PrefixLen(c.PuzzleEmbNDim, c.PuzzleEmbLen, c.HiddenSize)
}

// Length is the number of positions of the recursive state.
func (c Config) Length() int { return c.SeqLen + c.PrefixLen() }
