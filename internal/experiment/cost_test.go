package experiment_test

import (
	"fmt"
	"math"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

func TestCostAnchors(t *testing.T) {
	at768 := resolve(t, "e1_3_batch_1024", "paper", "global_batch_size=768")
	within := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance*want {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	within("FLOPs per step at batch 768", at768.FLOPsPerStep(), 32.8e12, 0.002)
	within("one forward unit at batch 768", at768.FLOPsPerStep()/35, 0.94e12, 0.005)
	within("steps that a full evaluation costs", experiment.SudokuExtremeTest*at768.EvalFLOPs()/at768.FLOPsPerStep(), 5290, 0.01)
	ahead := resolve(t, "e1_3_batch_1024", "paper", "global_batch_size=768", "no_act_continue=false")
	within("a step that looks ahead", ahead.FLOPsPerStep()/at768.FLOPsPerStep(), 56.0/35, 1e-12)
	within("parameters of the large model", float64(resolve(t, "e3_1_large_model", "paper").Params()), 35.2e6, 0.002)
	within("parameters of the deeper model", float64(resolve(t, "e4_3_deeper_model", "paper").Params()), 10.05e6, 0.001)
	hw := experiment.Hardware{Chips: 4, PeakFLOPs: 989e12, Utilisation: experiment.DefaultUtilisation}
	within("hours of the replication's 65,100 steps", 65_100*at768.FLOPsPerStep()/hw.FLOPs()/3600, 1.2, 0.02)
}

func TestCheckpointBytesCountEveryArray(t *testing.T) {
	s := resolve(t, "e1_3_batch_1024", "paper")
	weights := 4 * (4*int64(5_028_866) + 512 + 2*512)
	carry := int64(1024) * (2*97*512*2 + 81 + 81 + 4 + 1 + 4)
	if got := s.CheckpointBytes(); got != weights+carry {
		t.Errorf("%d bytes, want %d", got, weights+carry)
	}
}

func TestScheduleOfASpec(t *testing.T) {
	s := resolve(t, "e1_3_batch_1024", "paper")
	if got := s.LRAt(1); math.Abs(got-4e-4/5000) > 1e-18 {
		t.Errorf("first learning rate %v, want %v", got, 4e-4/5000)
	}
	if s.LRAt(48_828) != 4e-4 || s.PuzzleEmbLRAt(48_828) != 4e-4 {
		t.Errorf("last learning rates %v and %v, want 4e-4", s.LRAt(48_828), s.PuzzleEmbLRAt(48_828))
	}
	if s.StepsPerEval() != 4882 || s.Iterations() != 10 {
		t.Errorf("%d evaluations every %d steps, want 10 every 4882", s.Iterations(), s.StepsPerEval())
	}
}

func ExampleResolve() {
	spec, err := experiment.Resolve(configs.FS, "e2_3_attention", "paper", []string{"seed=7"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(spec.Params(), spec.TotalSteps(), spec.MLPT, spec.Seed)
	// Output: 6828034 48828 false 7
}
