package report_test

import (
	"context"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/configs"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

// flags are n solved flags, each true with probability p.
func flags(rng *rand.Rand, n int, p float64) []bool {
	out := make([]bool, n)
	for i := range out {
		out[i] = rng.Float64() < p
	}
	return out
}

// result is a run that ended with these puzzles solved; its curves follow from
// the spec and the seed.
func result(s experiment.Spec, solved []bool) *protocol.RunResult {
	acc, total := solvedShare(solved), s.TotalSteps()
	final := protocol.Eval{Step: total, ExactAccuracy: acc, CellAccuracy: 0.5 + acc/2, MeanSteps: 9, Puzzles: len(solved)}
	rate := 1 + float64(s.HCycles*s.LCycles)/10 + float64(s.Seed%7)/5
	r := &protocol.RunResult{Run: s.RunName(), Spec: s, SpecHash: s.Hash(), Seed: s.Seed, Params: s.Params(), Steps: total, Final: final,
		FinalCorrect: protocol.Bitmap(solved),
		WallSeconds:  s.EstimatedHours(experiment.V4Chip) * 3600 * (1 + rate/10), Preemptions: int(s.Seed % 5), FLOPsPerStep: s.FLOPsPerStep(),
		DatasetHash: "d0", CodeVersion: "c0", Backend: "test", StateSHA256: "s0"}
	r.GoodputSeconds = map[string]float64{"training": 0.8 * r.WallSeconds, "saving": 0.2 * r.WallSeconds}
	for i := range 51 {
		x := float64(i) / 50
		r.Curve = append(r.Curve,
			[2]float64{math.Round(x * float64(total)), math.Round(1000*(0.3+2.2*math.Exp(-rate*x)+0.02*math.Sin(40*x+rate))) / 1000})
		if i%10 == 5 {
			e := protocol.Eval{Step: int64(x * float64(total)), ExactAccuracy: math.Round(1000*acc*(1-math.Exp(-3*rate*x))) / 1000,
				CellAccuracy: 0.8, Puzzles: len(solved)}
			r.Evals = append(r.Evals, e)
		}
	}
	r.Best = final
	return r
}

// study is the whole study with its failures: one run failed, one is missing,
// two experiments are one run, one has three seeds, one was better before its end.
func study(t *testing.T) []report.Entry {
	t.Helper()
	specs, err := experiment.ResolveSweep(configs.FS, nil, "paper", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	shared := flags(rng, 500, 0.85)
	share := map[string]float64{"e1_1_baseline": 0.84, "e2_1_ema_off": 0.6, "e2_2_t2_n2": 0.7, "e2_2_t3_n4": 0.79, "e2_2_t4_n6": 0.86,
		"e2_3_attention": 0.74, "e3_2_more_data": 0.93}
	var entries []report.Entry
	for _, s := range specs {
		e := report.Entry{Spec: s}
		p := share[s.Name]
		if p == 0 {
			p = 0.83
		}
		switch s.Name {
		case "e3_1_large_model":
			e.Failure = "out of memory | <b>"
		case "e4_2_longer_training":
		case "e1_3_batch_1024", "e2_2_t3_n6", "e4_1_lr_search":
			e.Result = result(s, shared)
		case "e2_1_ema_off":
			for _, seed := range []int64{s.Seed, s.Seed + 1, s.Seed + 2} {
				s.Seed = seed
				entries = append(entries, report.Entry{Spec: s, Result: result(s, flags(rng, 500, p))})
			}
			continue
		case "e2_2_t2_n2":
			r := result(s, flags(rng, 500, p))
			best := flags(rng, 500, 0.8)
			full := protocol.Eval{Step: r.Steps / 2, ExactAccuracy: solvedShare(best), CellAccuracy: 0.9, Puzzles: len(best)}
			r.BestFull, r.Best, r.BestCorrect = &full, full, protocol.Bitmap(best)
			e.Result = r
		default:
			e.Result = result(s, flags(rng, 500, p))
		}
		entries = append(entries, e)
	}
	return entries
}

func solvedShare(solved []bool) float64 {
	n := 0
	for _, f := range solved {
		if f {
			n++
		}
	}
	return float64(n) / float64(len(solved))
}

// write makes the report and returns its files by name; REPORT_OUT names a
// folder where they are left to be looked at.
func write(t *testing.T, entries []report.Entry) (report.Written, map[string]string) {
	t.Helper()
	b := mem.New(time.Now)
	w, err := report.Write(context.Background(), b, "all", entries)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, key := range w.Keys {
		data, _, err := blob.ReadAll(context.Background(), b, key, 0)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Base(key)
		if dir := os.Getenv("REPORT_OUT"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		files[name] = string(data)
	}
	return w, files
}

// TestFrozenPages keeps the pages as they are; drawings are cut out of report.html.
func TestPagesEqualTheGoldenFiles(t *testing.T) {
	_, files := write(t, study(t))
	drawing := regexp.MustCompile(`(?s)<svg.*?</svg>`)
	files["report.html"] = drawing.ReplaceAllString(files["report.html"], "<svg/>")
	for _, name := range []string{"report.md", "report.html", "results.json"} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(files[name]), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if files[name] != string(want) {
			t.Errorf("%s is not what it was; see `git diff` after go test ./internal/report/ -update", name)
		}
	}
	for _, name := range []string{"loss", "exact_accuracy", "compute", "hours", "tn"} {
		svg, png := files[name+".svg"], files[name+".png"]
		if !strings.Contains(svg, "<svg") || !strings.HasPrefix(png, "\x89PNG") {
			t.Errorf("%s is no drawing: %d and %d bytes", name, len(svg), len(png))
		}
	}
}

func TestWrite(t *testing.T) {
	w, files := write(t, study(t))
	md, html := files["report.md"], files["report.html"]
	for _, want := range []string{
		"same run as e1_3_batch_1024", `failed: out of memory \| &lt;b>`, "missing", "74.70", "79.50 (with n=3)", "![Training loss](loss.svg)",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
	if !strings.Contains(html, "<svg") || strings.Contains(html, "memory | <b>") || strings.Contains(html, "<?xml") {
		t.Error("report.html has no inline figure, or unescaped text")
	}
	for _, r := range w.Rows {
		switch r.Experiment {
		case "e2_1_ema_off": // its reference has one of its seeds
			type facts struct {
				Compared, Underpowered bool
				Seeds                  int
			}
			got := facts{Compared: r.Delta != nil, Underpowered: r.Underpowered, Seeds: len(r.Seeds)}
			if diff := cmp.Diff(facts{Compared: true, Seeds: 3}, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", r.Experiment, diff)
			}
			if *r.Delta > -0.1 || *r.PCorrected > 0.01 {
				t.Errorf("%s: difference %v with corrected p %v, want at most -0.1 with at most 0.01", r.Experiment, *r.Delta, *r.PCorrected)
			}
			if math.Abs(r.Goodput-0.8) > 1e-9 {
				t.Errorf("%s: goodput %v, want 0.8", r.Experiment, r.Goodput)
			}
		case "e2_2_t2_n2": // better half way than at its end
			if r.BestStep != r.Steps/2 {
				t.Errorf("%s: best at step %d, want %d", r.Experiment, r.BestStep, r.Steps/2)
			}
			if *r.BestExactAccuracy <= *r.FinalExact {
				t.Errorf("%s: best accuracy %v, final %v; want a better one at the best evaluation", r.Experiment, *r.BestExactAccuracy, *r.FinalExact)
			}
			if r.FinalCILow == nil || *r.FinalCILow > *r.FinalExact || *r.FinalCIHigh < *r.FinalExact {
				t.Errorf("%s: the final accuracy %v has no interval, or lies outside of it", r.Experiment, *r.FinalExact)
			}
		case "e4_1_lr_search":
			type comparison struct {
				Delta, P     *float64
				Underpowered bool
			}
			zero, one := 0.0, 1.0
			got := comparison{r.Delta, r.PCorrected, r.Underpowered}
			if diff := cmp.Diff(comparison{&zero, &one, false}, got); diff != "" {
				t.Fatalf("identical answers (-want +got):\n%s", diff)
			}
			if *r.MDE > 0.02 {
				t.Errorf("identical answers: minimal detectable difference %v, want at most 0.02", *r.MDE)
			}
		case "e1_3_batch_1024", "e2_2_t3_n6":
			type compared struct {
				With  string
				Delta *float64
			}
			if diff := cmp.Diff(compared{}, compared{r.Reference, r.Delta}); diff != "" {
				t.Errorf("%s, which is the reference (-want +got):\n%s", r.Experiment, diff)
			}
		}
	}
}

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

// Resampling kinds of puzzles is resampling puzzles: the spread is that of the textbook.
func TestBootstrapSpreadMatchesTheory(t *testing.T) {
	a, b := make([]bool, 1000), make([]bool, 1000)
	for i := range a {
		a[i], b[i] = i < 300, i >= 200 && i < 300 // 200 puzzles gained, none lost
	}
	iv, ok := report.PairedBootstrap([][]bool{a}, [][]bool{b})
	se := math.Sqrt(0.2 * 0.8 / 1000)
	if !ok || iv.Delta != 0.2 {
		t.Errorf("difference %v, paired %v; want 0.2, true", iv.Delta, ok)
	}
	if width := iv.High - iv.Low; math.Abs(width-2*1.96*se) > 0.1*se {
		t.Errorf("interval of width %.5f, want about %.5f", width, 2*1.96*se)
	}
	if math.Abs(iv.StdErr-se) > 0.03*se {
		t.Errorf("standard error %.5f, want about %.5f", iv.StdErr, se)
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

func TestBitmap(t *testing.T) {
	for _, n := range []int{0, 1, 8, 9, 1000} {
		want := flags(rand.New(rand.NewPCG(5, uint64(n))), n, 0.5)
		got, err := protocol.ParseBitmap(protocol.Bitmap(want))
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
		if _, err := protocol.ParseBitmap(bad); err == nil {
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
	back, err := protocol.DecodeResult(data)
	if err != nil {
		t.Fatal(err)
	}
	type identity struct {
		Run    string
		Format int
	}
	if diff := cmp.Diff(identity{a.Run, protocol.ResultFormat}, identity{back.Run, back.Format}); diff != "" {
		t.Fatalf("a result read back (-want +got):\n%s", diff)
	}
	if _, err := protocol.DecodeResult([]byte(`{"format": 99}`)); err == nil {
		t.Error("a newer format was read")
	}
	other := s
	other.EMA = true
	c, err := report.Compare(a, *result(other, []bool{true, false, false, false}), nil)
	if err != nil {
		t.Fatal(err)
	}
	type comparison struct {
		Delta       float64
		Differences []experiment.Difference
		HasInterval bool
	}
	want := comparison{0.5, []experiment.Difference{{Key: "ema", A: "false", B: "true"}}, true}
	if diff := cmp.Diff(want, comparison{c.Delta, c.Differences, c.CILow != nil}); diff != "" {
		t.Errorf("the comparison (-want +got):\n%s", diff)
	}
}

// The rows and first lines say what an experiment changes, how its steps and its compute compare, and mark what is unequal:
// in this study e3_2_more_data trains five times as long, e4_5_larger_batch takes half the steps for the same compute.
func TestReportSaysWhatChangesAndWhatItCosts(t *testing.T) {
	specs, err := experiment.ResolveSweep(configs.FS, []string{"e1_3_batch_1024", "e3_2_more_data", "e4_5_larger_batch", "e4_3_deeper_model"},
		"smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	var entries []report.Entry
	for i, s := range specs {
		entries = append(entries, report.Entry{Spec: s, Result: result(s, flags(rng, 128, []float64{0.5, 0.95, 0.05, 0.5}[i]))})
	}
	w, files := write(t, entries)
	type setup struct {
		Changes        string
		Steps, Compute float64
		Unequal        bool
	}
	got := map[string]setup{}
	for _, r := range w.Rows {
		var keys []string
		for _, d := range r.Changes {
			keys = append(keys, d.Key+" "+d.A+" "+d.B)
		}
		got[r.Experiment] = setup{strings.Join(keys, ", "), r.StepsRatio, math.Round(100*r.ComputeRatio) / 100, r.UnequalCompute}
	}
	want := map[string]setup{
		"e1_3_batch_1024":   {},
		"e3_2_more_data":    {"data_puzzles 352 1760", 5, 5, true},
		"e4_5_larger_batch": {"global_batch_size 16 32, lr 0.008 0.016, lr_warmup_steps 14 27", 0.5, 1, false},
		"e4_3_deeper_model": {"l_layers 2 4", 1, 2, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("setups (-want +got):\n%s", diff)
	}
	first, _, _ := strings.Cut(files["report.md"], "## Results")
	wants(t, first, "rest on one seed: 3 of 3", "unequal compute, marked ≠: 2 of 3",
		"(≠ 5 x the compute, 5 x the steps: data_puzzles 352 → 1760)",
		"(equal compute, 0.5 x the steps: global_batch_size 16 → 32")
	wants(t, files["report.md"], "| ≠ 5.00 |", "| 1.00 |", "| ≠ 2.00 |", "[simultaneous 95%]")
}
