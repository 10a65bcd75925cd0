package trm

import (
	"maps"
	"math"
	"slices"
	"testing"

	"trmsweep/internal/tensor"
)

// traced are the tensors of one training step by name: "logits", "q_halt", "grad/..." and, after the update, "param/...".
type traced map[string][]float64

// oracleOf is the float64 oracle with the case's start values.
func (g goldenCase) oracleOf(t *testing.T, state tensor.State) *oracle {
	t.Helper()
	o := newOracle(g.config(), g.Train.LR, g.Train.PuzzleLR)
	for _, name := range o.names {
		copy(o.w[name].v, floats(t, state["param/"+name]))
	}
	o.hInit, o.lInit = floats(t, state["const/H_init"]), floats(t, state["const/L_init"])
	copy(o.puzzles.v, floats(t, state[puzzleEmb]))
	o.begin()
	return o
}

// batchOf is the input of step k, from 0.
func (g goldenCase) batchOf(t *testing.T, k int) StepInput {
	t.Helper()
	c := g.config()
	cut := func(file string, n int) []float64 { v, _ := npy(t, g.Files[file]); return v[k*n : (k+1)*n] }
	cells := c.BatchSize * c.SeqLen
	return StepInput{
		Inputs: bytesOf(cut("inputs", cells)), Labels: bytesOf(cut("labels", cells)),
		PuzzleIDs: intsOf(cut("puzzle_identifiers", c.BatchSize)),
	}
}

// oracleSteps are enough: the golden folder has weights after so many steps, and an oracle step takes seconds.
const oracleSteps = 3

// traceOracle trains the oracle; like every implementation compared here it takes the fragile entries from the manifest.
func (g goldenCase) traceOracle(t *testing.T) (steps []traced) {
	t.Helper()
	o := g.oracleOf(t, g.startState(t, testModel(t, g.config())))
	for k := range g.Steps[:oracleSteps] {
		in := g.batchOf(t, k)
		got := o.gradients(in.Inputs, in.Labels, in.PuzzleIDs)
		at := traced{"logits": slices.Concat(got.logits...), "q_halt": got.qHalt, "grad/" + localGrad: got.local}
		before := maps.Clone(o.ema)
		for _, name := range o.names {
			at["grad/"+name] = slices.Clone(o.w[name].g)
			before[name] = slices.Clone(o.ema[name])
		}
		o.update(got.local)
		if k == 0 {
			for name, f := range g.Fragile {
				for i, entry := range f.Index {
					o.w[name].v[entry] = f.Value[i]
					o.ema[name][entry] = g.Train.EMA*before[name][entry] + (1-g.Train.EMA)*f.Value[i]
				}
			}
		}
		for _, name := range o.names {
			at["param/"+name] = slices.Clone(o.w[name].v)
		}
		at["param/puzzle_emb.weights"] = slices.Clone(o.puzzles.v)
		steps = append(steps, at)
	}
	return steps
}

// traceReference is what the golden folder has: sampled tensors are compared where they have values.
func (g goldenCase) traceReference(t *testing.T) (steps []traced, stride map[string]int) {
	t.Helper()
	stride = map[string]int{}
	for _, s := range g.Steps {
		logits, _ := npy(t, s.Logits)
		at := traced{"logits": logits, "q_halt": s.QHalt}
		for kind, all := range map[string]map[string]sampled{"grad/": s.Grads, "param/": s.Params} {
			for name, some := range all {
				if some.File != "" {
					at[kind+name], _ = npy(t, some.File)
					stride[kind+name] = max(1, some.Stride)
				}
			}
		}
		steps = append(steps, at)
	}
	return steps, stride
}

// errorOf is the root mean square of the difference over that of want.
func errorOf(got, want []float64, stride int) float64 {
	var diff, length float64
	for i, v := range got {
		w := want[i*stride]
		diff, length = diff+(v-w)*(v-w), length+w*w
	}
	return math.Sqrt(diff / max(length, 1e-300))
}

// yardstick is how much worse than the reference a backend may be: both round as often, in another order. A mean of few
// squares is less sure: of four, one in a thousand is 53 times another (the F distribution).
func yardstick(values int) float64 {
	if values < 64 {
		return math.Sqrt(53)
	}
	return 2
}

// againstOracle holds the float32 rounding error of a backend against that of the reference, both measured from the float64 oracle.
func (g goldenCase) againstOracle(t *testing.T, got, want []traced) {
	t.Helper()
	ref, stride := g.traceReference(t)
	for k, r := range ref[:oracleSteps] {
		for what, values := range r {
			every := max(1, stride[what])
			var some []float64
			for i := 0; i < len(got[k][what]); i += every {
				some = append(some, got[k][what][i])
			}
			theirs, ours := errorOf(values, want[k][what], every), errorOf(some, want[k][what], every)
			if bound := yardstick(len(values))*theirs + 0x1p-22; !(ours <= bound) {
				t.Errorf("step %d %s: %.2g of its length from float64, the reference is %.2g", k+1, what, ours, theirs)
			}
		}
	}
}
