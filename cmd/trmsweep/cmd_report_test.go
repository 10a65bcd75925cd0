package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trmsweep/activities"
	"trmsweep/configs"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/disk"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/report"
	"trmsweep/internal/study"
)

// studyStore is a store in which TNSweep ran with the smoke profile: one
// experiment failed, one never ended, the others solved some of 40 puzzles.
func studyStore(t *testing.T) (dir string, runs []string) {
	t.Helper()
	dir = t.TempDir()
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	specs, err := experiment.ResolveSweep(configs.FS, []string{"TNSweep"}, "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := blob.PutBytes(context.Background(), b, key, data, blob.Any); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range specs {
		switch s.Name {
		case "e2_2_t2_n6":
			put("sweeps/night/results.json",
				[]report.Row{{Experiment: s.Name, SpecHash: s.Hash(), WantedSeeds: []int64{s.Seed}, Failure: "the loss is not finite at step 12"}})
			continue
		case "e2_2_t3_n4":
			continue
		}
		solved := make([]bool, 40)
		for k := range solved {
			solved[k] = k < 10+5*i
		}
		final := protocol.Eval{Step: s.TotalSteps(), ExactAccuracy: float64(10+5*i) / 40, Puzzles: 40}
		put("runs/"+s.RunName()+"/result.json",
			protocol.RunResult{Format: protocol.ResultFormat, Run: s.RunName(), Spec: s, SpecHash: s.Hash(), Seed: s.Seed, Steps: s.TotalSteps(),
				Best: final, Final: final, FinalCorrect: protocol.Bitmap(solved), Curve: [][2]float64{{1, 2}, {9, 1}}, WallSeconds: 9,
				GoodputSeconds: map[string]float64{"training": 9}})
		runs = append(runs, s.RunName())
	}
	return dir, runs
}

func TestReportOfAnEmptyStoreSaysSo(t *testing.T) {
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"report", "TNSweep", "--profile", "smoke", "--store", t.TempDir(), "--state", t.TempDir()}, &out,
		&errs)
	if code != exitOK || !strings.Contains(out.String(), "report.md") ||
		!strings.Contains(errs.String(), "the report is empty: the store has no result yet") {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
}

// A report whose files cannot be written, neither in the store nor in the state folder, is printed all the same.
func TestReportOfAStoreThatIsOnlyRead(t *testing.T) {
	for name, blocked := range map[string]func(store, state string) string{
		"store": func(store, _ string) string { return filepath.Join(store, "sweeps", "TNSweep-smoke") },
		"state": func(_, state string) string { return filepath.Join(state, "sweeps") },
	} {
		t.Run(name, func(t *testing.T) {
			store, runs := studyStore(t)
			state := t.TempDir()
			if err := os.WriteFile(blocked(store, state), nil, 0o600); err != nil { // where a folder is needed: as root writes to what is read-only
				t.Fatal(err)
			}
			args := []string{"report", "TNSweep", "--profile", "smoke", "--store", store, "--state", state}
			var out, errs bytes.Buffer
			code := execute(t.Context(), append(args, "--json"), &out, &errs)
			if code != exitOK || !strings.Contains(errs.String(), "files were not written") {
				t.Errorf("--json: exit code %d: %s", code, errs.String())
			}
			var rows []report.Row
			if err := json.Unmarshal(out.Bytes(), &rows); err != nil || len(rows) < len(runs) {
				t.Errorf("--json: %d rows, %v", len(rows), err)
			}
			out.Reset()
			if code := execute(t.Context(), args, &out, &errs); code != exitFailed {
				t.Errorf("exit code %d: %s", code, out.String())
			}
		})
	}
}

func TestReportCommand(t *testing.T) {
	store, _ := studyStore(t)
	state := t.TempDir()
	args := []string{"report", "TNSweep", "--profile", "smoke", "--store", store, "--state", state}
	var out, stderr bytes.Buffer
	if code := execute(context.Background(), args, &out, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	files := strings.Fields(out.String())
	if len(files) < 3 || files[0] != filepath.Join(state, "sweeps", "TNSweep-smoke", "report.md") {
		t.Fatalf("files %v", files)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	md, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"5 experiments (profile smoke): 3 done, 1 failed, 1 missing.", "failed: the loss is not finite at step 12",
		"its predictions are left out",
	} {
		if !strings.Contains(string(md), want) {
			t.Errorf("report.md lacks %q:\n%s", want, md)
		}
	}

	out.Reset()
	if code := execute(context.Background(), append(args, "--json"), &out, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var rows []map[string]any
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if hours, _ := r["predicted_hours"].(float64); hours <= 0 {
			t.Errorf("%v: predicted %v hours", r["experiment"], r["predicted_hours"])
		}
	}
	for _, key := range []string{
		"experiment", "reference", "seeds", "best_exact_accuracy", "final_exact_accuracy", "delta", "ci_low", "ci_high", "p_corrected",
		"final_ci_low", "underpowered", "goodput", "ledger",
	} {
		if _, ok := rows[0][key]; !ok {
			t.Errorf("rows lack %q", key)
		}
	}
}

// The report of a sweep books the slots' time, queue and losses included.
func TestSweepReportBooks(t *testing.T) {
	dir, runs := studyStore(t)
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	specs, err := experiment.ResolveSweep(configs.FS, []string{"e2_2_t2_n2"}, "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := specs[0]
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := blob.PutBytes(ctx, b, "specs/x.json", data, blob.Any); err != nil {
		t.Fatal(err)
	}
	books := protocol.Accounting{
		WallSeconds: 20,
		Goodput:     map[string]float64{"queued": 5, "training": 12, "lost": 3},
		Preemptions: 2,
		LostSteps:   4,
	}
	in := activities.ReportInput{
		Sweep:      "night",
		Items:      []study.Item{{Experiment: s.Name, Phase: s.Phase, ID: s.Name, Run: runs[0], SpecKey: "specs/x.json"}},
		Accounting: map[string]protocol.Accounting{s.Name: books},
	}
	if _, err := (&activities.Activities{Bucket: b}).Report(ctx, in); err != nil {
		t.Fatal(err)
	}
	data, _, err = blob.ReadAll(ctx, b, "sweeps/night/results.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	var rows []report.Row
	if err := json.Unmarshal(data, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := rows[0]
	want.WallSeconds = 20
	want.Goodput = 0.8
	want.Preemptions = 2
	want.LostSteps = 4
	want.Seconds = maps.Clone(rows[0].Seconds)
	want.Seconds["queued"], want.Seconds["lost"] = 5, 3
	if diff := cmp.Diff(want, rows[0], cmpopts.IgnoreUnexported(report.Row{})); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// Why the sweep stopped an experiment before its end is in the report that it writes.
func TestSweepReportSaysWhatWasStopped(t *testing.T) {
	const why = "stopped early: 3.00% at 0.25 of its steps, 2 of 3 were better"
	b, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	specs, err := experiment.ResolveSweep(configs.FS, []string{"e2_2_t2_n2"}, "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(specs[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(t.Context(), b, "specs/x.json", data, blob.Any); err != nil {
		t.Fatal(err)
	}
	in := activities.ReportInput{
		Sweep:   "night",
		Items:   []study.Item{{Experiment: specs[0].Name, Phase: specs[0].Phase, ID: "x", Run: "x", SpecKey: "specs/x.json"}},
		Stopped: map[string]string{"x": why},
	}
	if _, err := (&activities.Activities{Bucket: b}).Report(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if data, _, err = blob.ReadAll(t.Context(), b, "sweeps/night/results.json", 0); err != nil {
		t.Fatal(err)
	}
	var rows []report.Row
	if err := json.Unmarshal(data, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := rows[0]
	want.Status, want.Stopped = "stopped", why
	if diff := cmp.Diff(want, rows[0], cmpopts.IgnoreUnexported(report.Row{})); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestCompareCommand(t *testing.T) {
	store, runs := studyStore(t)
	var out, stderr bytes.Buffer
	if code := execute(context.Background(), []string{"compare", runs[1], runs[0], "--store", store}, &out, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, want := range []string{"difference", "95% interval", "h_cycles              3                     2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	code := execute(context.Background(), []string{"compare", runs[1], runs[0], "--store", store, "--json"}, &out, &stderr)
	if code != exitOK {
		t.Fatal(stderr.String())
	}
	var c report.Comparison
	if err := json.Unmarshal(out.Bytes(), &c); err != nil || c.Delta <= 0 || c.P == nil || c.SameState {
		t.Errorf("%+v, %v", c, err)
	}
}

// The profile names the runs: a report of the wrong one says so.
func TestReportOfAnotherProfile(t *testing.T) {
	store, _ := studyStore(t)
	var out, stderr bytes.Buffer
	code := execute(context.Background(), []string{"report", "TNSweep", "--store", store, "--state", t.TempDir()}, &out, &stderr)
	if code != exitOK {
		t.Fatal(stderr.String())
	}
	if !strings.Contains(stderr.String(), "3 results of profile smoke") || strings.Contains(stderr.String(), "profile paper,") {
		t.Errorf("%s", stderr.String())
	}
}

func TestReportWithoutResults(t *testing.T) {
	var out bytes.Buffer
	code := execute(context.Background(), []string{"report", "--state", t.TempDir()}, &out, &out)
	if code != exitUsage || !strings.Contains(out.String(), "nothing was trained there") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// The folder of a report stays below sweeps/: no name reaches the runs beside it.
func TestReportStaysBelowSweeps(t *testing.T) {
	store, _ := studyStore(t)
	var out bytes.Buffer
	code := execute(t.Context(),
		[]string{"report", "TNSweep", "--profile", "smoke", "--store", store, "--state", t.TempDir(), "--id", "../runs/x"}, &out, &out)
	if _, err := os.Stat(filepath.Join(store, "runs", "x")); code != exitUsage || err == nil || !strings.Contains(out.String(), "--id") {
		t.Errorf("exit code %d, %v: %s", code, err, out.String())
	}
}
