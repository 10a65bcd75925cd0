package trm

import (
	"slices"

	"trmsweep/internal/tensor"
)

// The names of arrays are a kind and the name of what they belong to, as in param/lm_head.weight.
const (
	puzzleEmb = "puzzle_emb/weights"
	localGrad = "puzzle_emb.local_weights" // the puzzle embedding's gradient, one row per slot; the batch is one shard
	puzzleSum = "puzzle_emb.sum"           // the same summed per id, and
	idCount   = "puzzle_emb.count"         // how often an id occurs; the batch is several shards
)

// cutKind splits the name of an array.
func cutKind(name string) (kind, rest string) {
	for i := range name {
		if name[i] == '/' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// PerSlot reports whether an array of the state has a row for every slot of the batch, so that every shard has a part of it.
func PerSlot(name string) bool {
	kind, _ := cutKind(name)
	return kind == "carry"
}

// variable is one named array of the state, of all shards.
type variable struct {
	name  string
	dtype tensor.DType
	shape []int
}

// variables lists the state in a fixed order.
func (c Config) variables() []variable {
	var vs []variable
	prefixes := []string{"param/", "adam_m/", "adam_v/"}
	if c.EMA {
		prefixes = append(prefixes, "ema/")
	}
	for _, prefix := range prefixes {
		for _, p := range c.Params() {
			vs = append(vs, variable{prefix + p.Name, tensor.F32, p.Shape})
		}
	}
	if c.PuzzleEmbNDim > 0 {
		vs = append(vs, variable{puzzleEmb, tensor.F32, []int{c.NumPuzzleIdentifiers, c.PuzzleEmbNDim}})
	}
	vs = append(vs,
		variable{"const/H_init", tensor.F32, []int{c.HiddenSize}},
		variable{"const/L_init", tensor.F32, []int{c.HiddenSize}})
	z := []int{c.BatchSize, c.Length(), c.HiddenSize}
	cells := []int{c.BatchSize, c.SeqLen}
	slots := []int{c.BatchSize}
	return append(vs,
		variable{"carry/z_H", c.carryDType(), z},
		variable{"carry/z_L", c.carryDType(), z},
		variable{"carry/steps", tensor.I32, slots},
		variable{"carry/halted", tensor.Bool, slots},
		variable{"carry/inputs", tensor.U8, cells},
		variable{"carry/labels", tensor.U8, cells},
		variable{"carry/puzzle_ids", tensor.I32, slots})
}

// shardShape is the shape of one shard's part of a variable.
func (c Config) shardShape(v variable) []int {
	if !PerSlot(v.name) {
		return v.shape
	}
	shape := slices.Clone(v.shape)
	shape[0] = c.shardRows()
	return shape
}

// gradients lists what the gradients program leaves for the optimizers, in its order.
func (c Config) gradients() (vs []variable) {
	if !c.FreezeWeights {
		for _, p := range c.Params() {
			vs = append(vs, variable{p.Name, tensor.F32, p.Shape})
		}
	}
	switch {
	case c.PuzzleEmbNDim == 0:
	case c.shardCount() == 1:
		vs = append(vs, variable{localGrad, tensor.F32, []int{c.shardRows(), c.PuzzleEmbNDim}})
	default:
		vs = append(vs,
			variable{puzzleSum, tensor.F32, []int{c.NumPuzzleIdentifiers, c.PuzzleEmbNDim}},
			variable{idCount, tensor.F32, []int{c.NumPuzzleIdentifiers}})
	}
	return vs
}

// carryDType is the type of the recursive state.
func (c Config) carryDType() tensor.DType {
	if c.ForwardDType == "bfloat16" {
		return tensor.BF16
	}
	return tensor.F32
}
