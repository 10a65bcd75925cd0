package preflight

import (
	"strings"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

func study(t *testing.T, profile string) []experiment.Spec {
	t.Helper()
	specs, err := experiment.ResolveSweep(configs.FS, []string{"AllAblations"}, profile, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

func TestShapes(t *testing.T) {
	specs := study(t, "paper")
	got := Shapes(specs)
	names, largest := []string{}, map[string]int{}
	for _, s := range specs {
		largest[Shape(s)] = max(largest[Shape(s)], s.GlobalBatchSize)
	}
	for _, s := range got {
		names = append(names, s.Name)
		if s.GlobalBatchSize != largest[Shape(s)] {
			t.Errorf("%s has batch %d, the shape's largest is %d", s.Name, s.GlobalBatchSize, largest[Shape(s)])
		}
	}
	if len(got) != len(largest) || len(got) < 7 || len(got) > 9 { // T x n (5), attention, the large and the deeper model
		t.Errorf("%d shapes: %v", len(got), names)
	}
}

func TestMemory(t *testing.T) {
	paper, smoke := study(t, "paper"), study(t, "smoke")
	for name, c := range map[string]struct {
		specs []experiment.Spec
		slots int
		want  string
	}{
		"fits":      {smoke, 1, ""},
		"too large": {paper, 1000, "in 1000 processes at once"},
		"nothing":   {nil, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			row := runOne(t.Context(), Memory(c.specs, c.slots, TrainingBytes))
			if row.OK != (c.want == "") || !strings.Contains(row.Detail, c.want) {
				t.Errorf("%+v", row)
			}
		})
	}
	if row := runOne(t.Context(), Memory(smoke, 1, func(experiment.Spec) float64 { return 3.5e17 })); row.OK ||
		!strings.Contains(row.Detail, "needs about 350 PB, ") || !strings.Contains(row.Detail, "a smaller batch, fewer --slots") {
		t.Errorf("%+v", row)
	}
	for _, s := range paper {
		if a, b := StateBytes(s), TrainingBytes(s); a > b {
			t.Errorf("%s: the state alone takes %g of %g bytes", s.Name, a, b)
		}
	}
	if a, b := TrainingBytes(paper[0]), TrainingBytes(smoke[0]); a < 100*b {
		t.Errorf("paper %g bytes, smoke %g", a, b)
	}
}

// Ten steps of every shape are little beside the study itself, also where it is smallest.
func TestTrialsAreASmallPart(t *testing.T) {
	for _, profile := range []string{"smoke", "laptop", "paper"} {
		specs := study(t, profile)
		trials, all := 0.0, 0.0
		for _, s := range Shapes(specs) {
			trials += 10 * s.FLOPsPerStep()
		}
		seen := map[string]bool{}
		for _, s := range specs {
			if !seen[s.Hash()] {
				seen[s.Hash()] = true
				all += s.TotalFLOPs()
			}
		}
		if trials > 0.1*all {
			t.Errorf("%s: the trials are %.1f%% of the study's work", profile, 100*trials/all)
		}
		t.Logf("%s: %.2g%%", profile, 100*trials/all)
	}
}
