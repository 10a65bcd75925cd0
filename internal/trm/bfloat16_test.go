package trm

import (
	"math"
	"testing"
)

// apart compares two vectors: the length of the difference over that of want, and the cosine of the angle.
func apart(got, want []float64) (rel, cosine float64) {
	var diff, gg, ww, gw float64
	for i := range want {
		diff += (got[i] - want[i]) * (got[i] - want[i])
		gg, ww, gw = gg+got[i]*got[i], ww+want[i]*want[i], gw+got[i]*want[i]
	}
	return math.Sqrt(diff / ww), gw / math.Sqrt(gg*ww)
}

// TestBFloat16AgainstReference measures what a bfloat16 forward pass costs: the
// first step from the reference's start values, against the reference's float32
// numbers. docs/LOG.md has the numbers.
func TestBFloat16AgainstReference(t *testing.T) {
	var m struct{ Cases map[string]goldenCase }
	manifest(t, &m)
	for name, g := range m.Cases {
		t.Run(name, func(t *testing.T) {
			c := g.config()
			start := g.startState(t, testModel(t, c))
			c.ForwardDType = "bfloat16"
			model := testModel(t, c)
			state := model.InitState(0)
			for key, a := range start {
				if kind, _ := cutKind(key); kind != "carry" {
					state[key] = a
				}
			}
			if err := model.Load(state); err != nil {
				t.Fatal(err)
			}
			model.KeepOutputs(true)
			read := func(file string, n int) []float64 { v, _ := npy(t, g.Files[file]); return v[:n] }
			cells := c.BatchSize * c.SeqLen
			mt, err := model.Gradients(StepInput{Inputs: bytesOf(read("inputs", cells)), Labels: bytesOf(read("labels", cells)),
				PuzzleIDs: intsOf(read("puzzle_identifiers", c.BatchSize))})
			if err != nil || !mt.Finite {
				t.Fatalf("%+v, %v", mt, err)
			}
			step := g.Steps[0]
			out, err := model.LastOutputs()
			if err != nil {
				t.Fatal(err)
			}
			want, _ := npy(t, step.Logits)
			logits, _ := apart(floats(t, out["logits"]), want)
			grads, err := model.LastGradients()
			if err != nil {
				t.Fatal(err)
			}
			var got, all []float64
			for name, s := range step.Grads {
				v := floats(t, grads[name])
				for i := 0; i < len(v); i += max(1, s.Stride) {
					got = append(got, v[i])
				}
				file, _ := npy(t, s.File)
				all = append(all, file...)
			}
			rel, cosine := apart(got, all)
			loss := math.Abs(mt.Loss-step.Loss) / step.Loss
			t.Logf("bfloat16 against the reference's float32: loss %.2g, logits %.2g, gradients %.2g relative, cosine %.5f", loss, logits, rel, cosine)
			if loss > 0.005 || logits > 0.1 || cosine < 0.99 || logits < 1e-4 { // `go` adds up in bfloat16 too
				t.Error("that is not the rounding of bfloat16")
			}
		})
	}
}
