package report_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"trmsweep/configs"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/experiment"
	"trmsweep/internal/report"
)

// flags are n solved flags, each true with probability p.
func flags(rng *rand.Rand, n int, p float64) []bool {
	out := make([]bool, n)
	for i := range out {
		out[i] = rng.Float64() < p
	}
	return out
}

func result(s experiment.Spec, solved []bool) *report.RunResult {
	n := 0.0
	for _, f := range solved {
		if f {
			n++
		}
	}
	final := report.Eval{Step: s.TotalSteps(), ExactAccuracy: n / float64(len(solved)), CellAccuracy: 0.9, Puzzles: len(solved)}
	return &report.RunResult{Run: s.RunName(), Spec: s, SpecHash: s.Hash(), Seed: s.Seed, Params: s.Params(), Steps: s.TotalSteps(), Best: final, Final: final,
		Evals: []report.Eval{{Step: s.TotalSteps() / 2, ExactAccuracy: 0.1}}, Curve: [][2]float64{{1, 2.4}, {100, 1.2}, {1000, 0.7}}, FinalCorrect: report.Bitmap(solved),
		WallSeconds: 100, Preemptions: 2, LostSteps: 30, GoodputSeconds: map[string]float64{"training": 80, "saving": 20}, DatasetHash: "d0", CodeVersion: "c0"}
}

func TestWrite(t *testing.T) {
	specs, err := experiment.ResolveSweep(configs.FS, nil, "paper", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	p := map[string]float64{"e2_1_ema_off": 0.6}
	var entries []report.Entry
	shared := flags(rng, 500, 0.85)
	for _, s := range specs {
		e := report.Entry{Spec: s}
		switch s.Name {
		case "e3_1_large_model":
			e.Failure = "out of memory | <b>"
		case "e3_2_more_data":
		case "e1_3_batch_1024", "e2_2_t3_n6":
			e.Result = result(s, shared)
		default:
			e.Result = result(s, flags(rng, 500, max(p[s.Name], 0.2)))
			if s.Name == "e4_1_lr_search" {
				e.Result = result(s, shared)
			}
		}
		entries = append(entries, e)
	}
	b := mem.New(time.Now)
	w, err := report.Write(context.Background(), b, "all", entries)
	if err != nil {
		t.Fatal(err)
	}
	read := func(key string) string {
		data, _, err := blob.ReadAll(context.Background(), b, key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("REPORT_OUT"); dir != "" {
			if err := os.WriteFile(dir+"/"+strings.ReplaceAll(key, "/", "_"), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return string(data)
	}
	for _, k := range w.Keys {
		read(k)
	}
	md, html := read("sweeps/all/report.md"), read("sweeps/all/report.html")
	for _, want := range []string{"same run as e1_3_batch_1024", `failed: out of memory \| &lt;b>`, "missing", "74.70", "79.50 (with n=3)", "![Training loss](loss.svg)"} {
		if !strings.Contains(md, want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
	if !strings.Contains(html, "<svg") || strings.Contains(html, "memory | <b>") || strings.Contains(html, "<?xml") {
		t.Error("report.html has no inline figure, or unescaped text")
	}
	for _, r := range w.Rows {
		switch r.Experiment {
		case "e2_1_ema_off":
			if r.Delta == nil || *r.Delta > -0.1 || *r.PHolm > 0.01 || r.Underpowered || r.Goodput != 0.8 {
				t.Errorf("%s: %+v", r.Experiment, r)
			}
		case "e4_1_lr_search":
			if r.Delta == nil || *r.Delta != 0 || *r.PHolm != 1 || !r.Underpowered {
				t.Errorf("identical answers: %+v", r)
			}
		case "e1_3_batch_1024", "e2_2_t3_n6":
			if r.Reference != "" || r.Delta != nil {
				t.Errorf("%s is the reference: %+v", r.Experiment, r)
			}
		}
	}
}

// The interval must contain the true difference about 95 times in 100.
// One small experiment has one point on the logarithmic axis of the compute figure.
func TestWriteOneExperiment(t *testing.T) {
	s, err := experiment.Resolve(configs.FS, "e2_2_t2_n2", "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := report.Write(context.Background(), mem.New(time.Now), "one", []report.Entry{{Spec: s, Result: result(s, []bool{true, false})}})
	if err != nil || len(w.Rows) != 1 || !slices.Contains(w.Keys, "sweeps/one/compute.svg") {
		t.Errorf("%v %v", w.Keys, err)
	}
}

func TestBootstrapCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const trials, n = 120, 80
	hit := 0
	for range trials {
		iv, ok := report.PairedBootstrap([][]bool{flags(rng, n, 0.7)}, [][]bool{flags(rng, n, 0.5)})
		if !ok {
			t.Fatal("not paired")
		}
		if iv.Low <= 0.2 && 0.2 <= iv.High {
			hit++
		}
	}
	if share := float64(hit) / trials; share < 0.90 || share > 0.99 {
		t.Errorf("coverage %.3f, want about 0.95", share)
	}
}

func TestUnpaired(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const trials = 120
	hit := 0
	for range trials {
		iv, ok := report.Unpaired([][]bool{flags(rng, 80, 0.7)}, [][]bool{flags(rng, 120, 0.5)})
		if !ok {
			t.Fatal("nothing to compare")
		}
		if iv.Low <= 0.2 && 0.2 <= iv.High {
			hit++
		}
	}
	if share := float64(hit) / trials; share < 0.90 || share > 0.99 {
		t.Errorf("coverage %.3f, want about 0.95", share)
	}
	if _, ok := report.Unpaired(nil, [][]bool{{true}}); ok {
		t.Error("compared with nothing")
	}
}

// Where nothing differs, p below 0.05 must come about 5 times in 100, paired or not.
func TestFalsePositives(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const trials, n = 200, 100
	found := map[string]int{}
	for range trials {
		a, b := [][]bool{flags(rng, n, 0.6)}, [][]bool{flags(rng, n, 0.6)}
		paired, _ := report.PairedBootstrap(a, b)
		unpaired, _ := report.Unpaired(a, b)
		for kind, p := range map[string]float64{"paired": paired.P, "unpaired": unpaired.P} {
			if p <= 0.05 {
				found[kind]++
			}
		}
	}
	for _, kind := range []string{"paired", "unpaired"} {
		if share := float64(found[kind]) / trials; share < 0.01 || share > 0.10 {
			t.Errorf("%s: p <= 0.05 in a share of %.3f where nothing differs, want about 0.05", kind, share)
		}
	}
}

// Resampling kinds of puzzles is resampling puzzles: the spread is that of the textbook.
func TestBootstrapSpread(t *testing.T) {
	a, b := make([]bool, 1000), make([]bool, 1000)
	for i := range a {
		a[i], b[i] = i < 300, i >= 200 && i < 300 // 200 puzzles gained, none lost
	}
	iv, ok := report.PairedBootstrap([][]bool{a}, [][]bool{b})
	se := math.Sqrt(0.2 * 0.8 / 1000)
	if !ok || iv.Delta != 0.2 || math.Abs(iv.High-iv.Low-2*1.96*se) > 0.1*se || math.Abs(iv.MDE/2.8016-se) > 0.03*se {
		t.Errorf("%+v, want a standard error of %.5f", iv, se)
	}
	two, ok := report.PairedBootstrap([][]bool{a, b}, [][]bool{b, b}) // one seed gains, one does not
	if !ok || two.Delta != 0.1 || two.Low > 0.02 || two.High < 0.18 {
		t.Errorf("seeds that disagree: %+v", two)
	}
	if _, ok := report.PairedBootstrap([][]bool{a}, [][]bool{b[:5]}); ok {
		t.Error("paired different puzzles")
	}
}

// A full evaluation has 422,786 puzzles.
func BenchmarkPairedBootstrap(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, y := [][]bool{}, [][]bool{}
	for range 3 {
		x, y = append(x, flags(rng, 422786, 0.8)), append(y, flags(rng, 422786, 0.7))
	}
	for b.Loop() {
		report.PairedBootstrap(x, y)
	}
}

func TestHolm(t *testing.T) {
	got := report.Holm([]float64{0.01, 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("corrected p %d is %v, want %v", i, got[i], want)
		}
	}
}

func TestBitmap(t *testing.T) {
	for _, n := range []int{0, 1, 8, 9, 1000} {
		want := flags(rand.New(rand.NewPCG(5, uint64(n))), n, 0.5)
		got, err := report.ParseBitmap(report.Bitmap(want))
		if err != nil || len(got) != n {
			t.Fatalf("%d flags: %d back, %v", n, len(got), err)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("flag %d of %d differs", i, n)
			}
		}
	}
	for _, bad := range []string{"x", "9:AA==", "-1:", "8:!"} {
		if _, err := report.ParseBitmap(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestResultRoundTripAndCompare(t *testing.T) {
	s, err := experiment.Resolve(configs.FS, "e2_1_ema_off", "paper", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := *result(s, []bool{true, true, false, true})
	data, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := report.DecodeResult(data)
	if err != nil || back.Run != a.Run || back.Format != report.ResultFormat {
		t.Fatalf("%+v, %v", back, err)
	}
	if _, err := report.DecodeResult([]byte(`{"format": 99}`)); err == nil {
		t.Error("a newer format was read")
	}
	other := s
	other.EMA = true
	c, err := report.Compare(a, *result(other, []bool{true, false, false, false}))
	if err != nil || c.Delta != 0.5 || len(c.Differences) != 1 || c.CILow == nil {
		t.Errorf("%+v, %v", c, err)
	}
}
