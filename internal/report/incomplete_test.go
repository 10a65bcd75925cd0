package report_test

import (
	"context"
	"encoding/json"
	"math"
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

func tnSweep(t *testing.T) []experiment.Spec {
	t.Helper()
	specs, err := experiment.ResolveSweep(configs.FS, []string{"TNSweep"}, "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

func row(t *testing.T, w report.Written, name string) report.Row {
	t.Helper()
	i := slices.IndexFunc(w.Rows, func(r report.Row) bool { return r.Experiment == name })
	if i < 0 {
		t.Fatalf("no row of %s", name)
	}
	return w.Rows[i]
}

func wants(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if !strings.Contains(page, want) {
			t.Errorf("report.md lacks %q:\n%.3000s", want, page)
		}
	}
}

func TestReportWithoutResults(t *testing.T) {
	var entries []report.Entry
	for _, s := range tnSweep(t) {
		entries = append(entries, report.Entry{Spec: s})
	}
	_, files := write(t, entries)
	wants(t, files["report.md"], "5 experiments (profile smoke): 5 missing.", "No experiment has a result yet")
	if strings.Contains(files["report.md"], "NaN") || len(files) != 3 {
		t.Errorf("%d files:\n%s", len(files), files["report.md"])
	}
	_, files = write(t, nil)
	wants(t, files["report.md"], "0 experiments: none.")
}

// What came out of crashes, reruns and several versions must be said, not hidden.
func TestUnusableResultsAreLeftOut(t *testing.T) {
	specs := tnSweep(t)
	solved := []bool{true, false, true, true, false, true, false, true}
	ok := func(i int) *protocol.RunResult { return result(specs[i], solved) }
	nan, damaged, newer := ok(0), ok(1), ok(2)
	nan.Final.ExactAccuracy, nan.Best.ExactAccuracy = math.NaN(), math.NaN()
	damaged.FinalCorrect = "9:AA=="
	newer.CodeVersion = "c1"
	newer.Computed = []protocol.Part{{Backend: "cpu", Arithmetic: "cpu avx2"},
		{FromStep: 9, Backend: "cpu", Arithmetic: "cpu avx2", Code: "c1"}, {FromStep: 12, Backend: "cpu", Arithmetic: "cpu amx"}}
	newer.Curve[7][1] = math.Inf(1)
	other := specs[3]
	other.Seed = 7
	entries := []report.Entry{
		{Spec: specs[0], Result: nan}, {Spec: specs[1], Result: damaged},
		{Spec: specs[2], Result: newer}, {Spec: specs[2], Result: newer}, // the same seed twice
		{Spec: specs[3], Result: ok(3)}, {Spec: other, Failure: "preempted for ever"},
		{Spec: specs[4], Result: result(specs[4], append(solved, true))}, // another number of test puzzles
	}
	w, files := write(t, entries)
	wants(t, files["report.md"], "2 done, 1 partial, 2 failed", "an accuracy that is not a number", "cannot be read: bitmap",
		"partial, 1 of 2 seeds: preempted for ever", "results of 2 versions of the code are mixed: c1 (e2_2_t3_n4); c0 (e2_2_t3_n6, e2_2_t4_n6)",
		"unpaired", "| cpu avx2, cpu amx |", "kinds of arithmetic are mixed: ", "cpu avx2 (e2_2_t3_n4); cpu amx (e2_2_t3_n4)",
		"other arithmetic than they began with, so that no undisturbed run gives their bits: "+newer.Run+".")
	type once struct {
		Seeds            int
		Compared, Paired bool
		WallSeconds      float64
	}
	r := row(t, w, specs[2].Name)
	if diff := cmp.Diff(once{1, true, true, newer.WallSeconds}, once{len(r.Seeds), r.Delta != nil, r.Paired, r.WallSeconds}); diff != "" {
		t.Errorf("a seed given twice counts once (-want +got):\n%s", diff)
	}
	type unpaired struct{ Paired, Compared bool }
	r = row(t, w, specs[4].Name)
	if diff := cmp.Diff(unpaired{Compared: true}, unpaired{r.Paired, r.Delta != nil}); diff != "" {
		t.Errorf("paired with other puzzles (-want +got):\n%s", diff)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(files["results.json"]), &rows); err != nil || len(rows) != 5 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestRowsWithoutACommonSeedAreNotCompared(t *testing.T) {
	specs := tnSweep(t)
	a, b := specs[0], specs[3]
	b.Seed++
	w, files := write(t, []report.Entry{{Spec: a, Result: result(a, []bool{true})}, {Spec: b, Result: result(b, []bool{true})}})
	type comparison struct{ Delta, PCorrected *float64 }
	r := row(t, w, a.Name)
	if diff := cmp.Diff(comparison{}, comparison{r.Delta, r.PCorrected}); diff != "" {
		t.Errorf("compared different seeds (-want +got):\n%s", diff)
	}
	wants(t, files["report.md"], "no seed in common with e2_2_t3_n6")
	_, files = write(t, []report.Entry{{Spec: a, Result: result(a, []bool{true})}, {Spec: specs[3]}})
	wants(t, files["report.md"], "e2_2_t3_n6 has no result to compare with")
	_, files = write(t, []report.Entry{{Spec: a, Result: result(a, []bool{true})}})
	wants(t, files["report.md"], "its reference e2_2_t3_n6 is not in this report")
}

// The accounting of the slot replaces that of the processes, all buckets are there, and it
// survives in results.json for a report that is made from the store alone.
func TestSlotAccountingReplacesThatOfTheProcesses(t *testing.T) {
	s := tnSweep(t)[0]
	r := result(s, []bool{true, false})
	slot := protocol.Accounting{WallSeconds: 100, Preemptions: 3, LostSteps: 17,
		Goodput: map[string]float64{"queued": 20, "starting": 4, "compiling": 5, "restoring": 1, "training": 40, "saving": 2, "evaluating": 8,
			"lost": 20}}
	ctx, b := context.Background(), mem.New(time.Now)
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(ctx, b, "runs/"+s.RunName()+"/result.json", data, blob.Any); err != nil {
		t.Fatal(err)
	}
	check := func(w report.Written) {
		t.Helper()
		got, sum := w.Rows[0], 0.0
		for _, v := range got.Seconds {
			sum += v
		}
		type accounting struct {
			Buckets     int
			Goodput     float64
			Preemptions int
			LostSteps   int64
		}
		want := accounting{Buckets: len(protocol.Buckets), Goodput: 0.5, Preemptions: 3, LostSteps: 17}
		if diff := cmp.Diff(want, accounting{len(got.Seconds), got.Goodput, got.Preemptions, got.LostSteps}); diff != "" {
			t.Errorf("accounting of the row (-want +got):\n%s", diff)
		}
		if math.Abs(sum-got.WallSeconds) > 1e-9 {
			t.Errorf("the buckets have %v seconds, the wall clock %v", sum, got.WallSeconds)
		}
		if strings.Contains(got.Note, "wall clock") {
			t.Errorf("note %q says that the buckets differ from the wall clock", got.Note)
		}
	}
	w, err := report.Write(ctx, b, "one", []report.Entry{{Spec: s, Result: r, Slot: &slot}})
	if err != nil {
		t.Fatal(err)
	}
	check(w)
	entries, err := report.ReadEntries(ctx, b, []experiment.Spec{s})
	if err != nil {
		t.Fatal(err)
	}
	if w, err = report.Write(ctx, b, "two", entries); err != nil {
		t.Fatal(err)
	}
	check(w)

	slot.Goodput["lost"] = 10
	w, err = report.Write(ctx, b, "three", []report.Entry{{Spec: s, Result: r, Slot: &slot}})
	if err != nil || !strings.Contains(w.Rows[0].Note, "10.0% off the wall clock") {
		t.Errorf("books that do not add up: %q, %v", w.Rows[0].Note, err)
	}
}

// One damaged result file does not keep the others from being reported.
func TestDamagedResultIsAFailureOfItsRun(t *testing.T) {
	s := tnSweep(t)[0]
	ctx, b := context.Background(), mem.New(time.Now)
	if _, err := blob.PutBytes(ctx, b, "runs/"+s.RunName()+"/result.json", []byte(`{"format": 1, "run`), blob.Any); err != nil {
		t.Fatal(err)
	}
	entries, err := report.ReadEntries(ctx, b, []experiment.Spec{s})
	if err != nil || len(entries) != 1 || !strings.Contains(entries[0].Failure, "unexpected end of JSON input") {
		t.Errorf("%+v, %v", entries, err)
	}
}

// Why an experiment was ended early stands in its row, and survives in results.json
// for a report that is made from the store alone.
func TestStoppedRunsSayWhy(t *testing.T) {
	const why, other = "stopped early: 3.00% at 0.25 of its steps, 2 of 3 were better", "skipped"
	specs := tnSweep(t)
	seeds := make([]experiment.Spec, 3)
	for i := range seeds {
		seeds[i] = specs[1]
		seeds[i].Seed = int64(i)
	}
	entries := []report.Entry{
		{Spec: specs[0], Stopped: why},
		{Spec: seeds[0], Result: result(seeds[0], []bool{true})}, {Spec: seeds[1], Stopped: why}, {Spec: seeds[2], Stopped: other},
		{Spec: specs[2], Stopped: why, Result: result(specs[2], []bool{true})},
		{Spec: specs[3], Failure: "out of memory"},
		{Spec: specs[4]},
	}
	ctx, b := context.Background(), mem.New(time.Now)
	w, err := report.Write(ctx, b, "one", entries)
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := blob.ReadAll(ctx, b, "sweeps/one/report.md", 0)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(page), "1 done, 1 partial, 1 failed, 1 stopped, 1 missing", "stopped: "+why, "partial, 1 of 3 seeds: "+why+"; "+other)
	for i, want := range []string{"stopped", "partial", "done", "failed", "missing"} {
		if r := w.Rows[i]; r.Status != want || (r.Stopped != "") != (i < 2) {
			t.Errorf("%s is %s, stopped %q; want %s", r.Experiment, r.Status, r.Stopped, want)
		}
	}
	again, err := report.ReadEntries(ctx, b, specs)
	if err != nil {
		t.Fatal(err)
	}
	type end struct{ Stopped, Failure string }
	want := map[string]end{"skipped": {Stopped: why}, "failed": {Failure: "out of memory"}}
	got := map[string]end{"skipped": {Stopped: again[0].Stopped}, "failed": {again[3].Stopped, again[3].Failure}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries read back (-want +got):\n%s", diff)
	}
	if again[2].Stopped != "" {
		t.Errorf("a run with a result is stopped: %q", again[2].Stopped)
	}
}

// A figure that an earlier report of the sweep had does not stay beside a report that has none.
func TestOldFiguresGo(t *testing.T) {
	ctx, b, s := t.Context(), mem.New(time.Now), tnSweep(t)[3]
	if _, err := report.Write(ctx, b, "x", []report.Entry{{Spec: s, Result: result(s, []bool{true, false})}}); err != nil {
		t.Fatal(err)
	}
	w, err := report.Write(ctx, b, "x", []report.Entry{{Spec: s}})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for attr, err := range b.List(ctx, "sweeps/x/") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(attr.Key, "kept_books.json") {
			keys = append(keys, attr.Key)
		}
	}
	slices.Sort(w.Keys)
	slices.Sort(keys)
	if diff := cmp.Diff(w.Keys, keys); diff != "" {
		t.Errorf("what lies there (-written +there):\n%s", diff)
	}
}
