package preflight

import (
	"errors"
	"os"
	"path/filepath"
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
	if a, b := TrainingBytes(paper[0]), TrainingBytes(smoke[0]); a < 50*b {
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

// A folder must have room for what plan says of the runs, less what lies there already.
func TestRoom(t *testing.T) {
	s := study(t, "smoke")[0]
	_, free, err := freeAt(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	many := s
	many.GlobalBatchSize, many.KeepCheckpoints = 1<<24, 10_000 // more than any disk has
	dir := filepath.Join(t.TempDir(), "store")                 // is made later
	half := filepath.Join(dir, "runs", s.RunName(), "ckpt")
	for _, c := range []struct {
		name  string
		specs []experiment.Spec
		held  int64
		ok    bool
		want  string
	}{
		{"fits", []experiment.Spec{s}, 0, true, gigabytes(float64(s.StoredBytes()))},
		{"one run under two names", []experiment.Spec{s, s}, 0, true, "1 runs take " + gigabytes(float64(s.StoredBytes()))},
		{"too large", []experiment.Spec{many}, 0, false, gigabytes(float64(many.StoredBytes()))},
		{"all there", []experiment.Spec{s}, s.StoredBytes(), true, "take 0.00 GB more"},
	} {
		if c.held > 0 {
			if err := os.MkdirAll(half, 0o755); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(filepath.Join(half, "state"))
			if err == nil {
				err = errors.Join(f.Truncate(c.held), f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		row := runOne(t.Context(), Room(dir, c.specs))
		if row.OK != c.ok || !strings.Contains(row.Detail, c.want) || !strings.Contains(row.Detail, " GB free at ") {
			t.Errorf("%s: %+v with %d bytes free; want %q", c.name, row, free, c.want)
		}
	}
}
