package trm

import (
	"math"
	"testing"
)

// TestExploreIsUniform counts draws: a slot is constrained with the asked
// probability, then to each of 2..haltMax equally often, whatever the step, slot and seed.
func TestExploreIsUniform(t *testing.T) {
	const steps, slots = 500, 64
	n := float64(steps * slots)
	for _, c := range []struct {
		seed    uint64
		prob    float64
		haltMax int
	}{{1, 0.1, 16}, {2, 0.5, 4}, {42, 1, 16}, {7, 1, 2}, {0, 0.9, 8}} {
		counts := make([]float64, c.haltMax+1)
		for step := range int64(steps) {
			for slot := range slots {
				v := Explore(c.seed, step+1, slot, c.prob, c.haltMax)
				if v == 1 || v < 0 || int(v) > c.haltMax {
					t.Fatalf("drew %d of 2..%d", v, c.haltMax)
				}
				counts[v]++
			}
		}
		near := func(what string, got, p float64) {
			t.Helper()
			if sigma := math.Sqrt(n * p * (1 - p)); math.Abs(got-n*p) > 5*sigma {
				t.Errorf("seed %d, %v of 2..%d: %s %v times of %v, expected %v", c.seed, c.prob, c.haltMax, what, got, n, n*p)
			}
		}
		near("none", counts[0], 1-c.prob)
		for v := 2; v <= c.haltMax; v++ {
			near("each", counts[v], c.prob/float64(c.haltMax-1))
		}
	}
}

// TestExploreDependsOnEverything: neighbours in seed, step and slot agree no more often than chance.
func TestExploreDependsOnEverything(t *testing.T) {
	const n, haltMax = 4000, 16
	draw := func(seed uint64, step int64, slot int) int32 { return Explore(seed, step, slot, 1, haltMax) }
	for name, other := range map[string]func(i int) int32{
		"seed":                  func(i int) int32 { return draw(43, int64(i), 3) },
		"step":                  func(i int) int32 { return draw(42, int64(i)+1, 3) },
		"slot":                  func(i int) int32 { return draw(42, int64(i), 4) },
		"step and slot swapped": func(i int) int32 { return draw(42, 3, i) },
	} {
		same := 0.0
		for i := range n {
			one, again := draw(42, int64(i), 3), draw(42, int64(i), 3)
			if one != again {
				t.Fatal("the same arguments give different draws")
			}
			if one == other(i) {
				same++
			}
		}
		p := 1.0 / (haltMax - 1)
		if math.Abs(same-n*p) > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%s: %v of %d draws agree, expected %v", name, same, n, n*p)
		}
	}
}

func TestExploreOff(t *testing.T) {
	for _, c := range []struct {
		prob    float64
		haltMax int
	}{{0, 16}, {-1, 16}, {1, 1}, {1, 0}} {
		for slot := range 100 {
			if v := Explore(1, 1, slot, c.prob, c.haltMax); v != 0 {
				t.Errorf("probability %v, at most %d steps: drew %d", c.prob, c.haltMax, v)
			}
		}
	}
}

// TestLeastSteps: a slot that wants to halt goes on until its least number of
// steps, is halted at halt_max_steps whatever it wants, and then takes a new row.
func TestLeastSteps(t *testing.T) {
	c := tinyConfig()
	c.BatchSize, c.GlobalBatchSize, c.HaltMaxSteps = 3, 3, 4
	for name, want := range map[string]struct {
		bias   float32 // of both q logits
		steps  [][]float64
		halted [][]float64
	}{
		"wants to halt": {5, [][]float64{{1, 1, 1}, {1, 2, 2}, {1, 1, 3}, {1, 2, 4}, {1, 1, 1}}, [][]float64{{1, 0, 0}, {1, 1,
			0}, {1, 0, 0}, {1, 1, 1}, {1, 0, 0}}},
		"does not": {-5, [][]float64{{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4}, {1, 1, 1}}, [][]float64{{0, 0, 0}, {0,
			0, 0}, {0, 0, 0}, {1, 1, 1}, {0, 0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := testModel(t, c)
			s := m.InitState(1)
			s["param/q_head.bias"] = fromFloats([]float64{float64(want.bias), float64(want.bias)}, []int{2})
			if err := m.Load(s); err != nil {
				t.Fatal(err)
			}
			in := tinyBatch(c)
			in.MinSteps = []int32{0, 2, 4}
			for i := range want.steps {
				if _, err := m.Gradients(in); err != nil {
					t.Fatal(err)
				}
				mt := lastMetrics(t, m)
				got := mustSnapshot(t, m)
				near(t, "steps", floats(t, got["carry/steps"]), want.steps[i], 0, false)
				near(t, "halted", floats(t, got["carry/halted"]), want.halted[i], 0, false)
				count := want.halted[i][0] + want.halted[i][1] + want.halted[i][2]
				if mt.Count != count {
					t.Errorf("supervision step %d: %v rows counted, want %v", i+1, mt.Count, count)
				}
			}
		})
	}
}
