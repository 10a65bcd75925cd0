package trm

import (
	"math"
	"os"
	"testing"
)

// bfloat16Step is the case's first step with a bfloat16 forward pass, from the reference's start values. It rounds 2^16 times
// as coarsely as float32 and not more often: its distance from float64 is at most that many times the reference's in float32.
func (g goldenCase) bfloat16Step(t *testing.T, exact traced) {
	t.Helper()
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
	if res, err := model.Gradients(g.batchOf(t, 0)); err != nil || !res.Finite {
		t.Fatalf("%+v, %v", res, err)
	}
	mt := lastMetrics(t, model)
	out, err := model.LastOutputs()
	if err != nil {
		t.Fatal(err)
	}
	grads, err := model.LastGradients()
	if err != nil {
		t.Fatal(err)
	}
	ref, stride := g.traceReference(t)
	got := map[string][]float64{"logits": floats(t, out["logits"])}
	for name, a := range grads {
		got["grad/"+name] = floats(t, a)
	}
	coarser := float64(1 << 16)
	if os.Getenv(backendEnv) == "go" {
		coarser *= 8 // it adds up the 64 products of an inner product in bfloat16 too
	}
	for what, values := range got {
		theirs := errorOf(ref[0][what], exact[what], max(1, stride[what]))
		ours, times := errorOf(values, exact[what], 1), coarser
		if len(values) < 64 {
			times *= yardstick(len(values))
		}
		tooFine := what == "logits" && ours < 1<<10*theirs
		if tooFine || !(ours <= times*theirs) {
			t.Errorf("%s: %.2g of its length from float64, %.2g times what float32 is", what, ours, ours/theirs)
		}
	}
	ours := errorOf(got["logits"], exact["logits"], 1)
	t.Logf("logits: %.2g of their length from float64", ours)
	away := distance(got["logits"], exact["logits"]) * g.lossSlope(exact["logits"], mustSnapshot(t, model)["carry/labels"].Data)
	if want := g.Steps[0].LMLoss; !(math.Abs(mt.LMLoss-want) <= 2*away) {
		t.Errorf("lm_loss %v, want %v within %v, which the logits explain", mt.LMLoss, want, 2*away)
	}
}
