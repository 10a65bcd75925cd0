package trm

import (
	"testing"

	"trmsweep/internal/backend"
)

// TestStepAllocatesNothing on backend cpu, once the graphs are compiled and both have run.
func TestStepAllocatesNothing(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"mlp":       func(*Config) {},
		"attention": func(c *Config) { c.MLPT, c.PosEncodings, c.NoACTContinue = false, "rope", false },
		"bfloat16":  func(c *Config) { c.ForwardDType = "bfloat16" },
		"frozen":    func(c *Config) { c.FreezeWeights = true },
		"no EMA":    func(c *Config) { c.EMA = false },
		"shards":    func(c *Config) { c.BatchSize, c.Shards = 8, 8 },
		"deep":      func(c *Config) { c.LLayers = 6 }, // many arrays of one size
	} {
		t.Run(name, func(t *testing.T) {
			c := tinyConfig()
			change(&c)
			be, _, err := backend.New("cpu", 0)
			if err != nil {
				t.Fatal(err)
			}
			defer be.Finalize()
			m := freshModel(t, be, c)
			defer m.Close()
			in := tinyBatch(c)
			in.LR, in.PuzzleEmbLR = 1e-3, 1e-3
			step := func() {
				in.Step++
				if res, err := m.Step(in); err != nil || !res.Finite {
					t.Fatalf("step %d: %+v, %v", in.Step, res, err)
				}
				if _, err := m.Metrics(); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				step()
			}
			if n := testing.AllocsPerRun(10, step); n != 0 {
				t.Errorf("%.0f allocations per step, want none", n)
			}
		})
	}
}

// TestSnapshotIsACopy: what a save beside training writes out does not change when the loop goes on in the same memory.
func TestSnapshotIsACopy(t *testing.T) {
	m, _ := trainTiny(t, tinyConfig(), 2)
	first := mustSnapshot(t, m)
	sum := first.SHA256()
	in := tinyBatch(tinyConfig())
	in.LR, in.PuzzleEmbLR = 3e-3, 3e-3
	for in.Step = 3; in.Step < 7; in.Step++ {
		if _, err := m.Step(in); err != nil {
			t.Fatal(err)
		}
		if first.SHA256() != sum {
			t.Fatalf("step %d wrote into a snapshot", in.Step)
		}
	}
	if mustSnapshot(t, m).SHA256() == sum {
		t.Error("the state is that of four steps ago")
	}
	if err := m.Load(first); err != nil {
		t.Fatal(err)
	}
	if mustSnapshot(t, m).SHA256() != sum || first.SHA256() != sum {
		t.Error("a loaded snapshot is another state")
	}
}
