package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/aot"
	"trmsweep/internal/experiment"
)

func TestPlanCompileRefusesWrongInput(t *testing.T) {
	if errors.Is(aot.Supported(), aot.ErrUnsupported) {
		t.Skip(aot.ErrUnsupported)
	}
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"topology", "known are v4:AxBxC", []string{"--compile-for", "v9:1x1"}},
		{"no libtpu", "libtpu", []string{"--compile-for", "v4:2x2x1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", t.TempDir())
			_, err := plan(t, append(tc.args, "e1_1_baseline")...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || exitCode(err, &bytes.Buffer{}) != exitUsage {
				t.Errorf("got %v, want a usage error with %q", err, tc.want)
			}
		})
	}
}

// compiledRows are two experiments of which the second does not fit.
func compiledRows() []planRow {
	rows := planRows([]experiment.Spec{{Name: "small", GlobalBatchSize: 64}, {Name: "large", GlobalBatchSize: 1024}}, experiment.V4Chip)
	useCompiled(rows, []*aot.Estimate{
		{Topology: "v4:2x2x1", Rows: 32, Shards: 2, Fits: true, Hours: 7, Bound: aot.BoundBytes, HBMNeeded: 1 << 30, HBMAvailable: 30 << 30},
		{Topology: "v4:2x2x1", Rows: 1024, Shards: 1, HBMNeeded: 36 << 30, HBMAvailable: 30 << 30,
			Programs: []aot.ProgramEstimate{{Name: "gradients", Compiled: aot.Compiled{Refused: &aot.TooBig{Need: 36 << 30, Have: 30 << 30}}}}},
	})
	return rows
}

func TestPlanSaysWhereHoursComeFrom(t *testing.T) {
	rows := compiledRows()
	want := slices.Clone(rows)
	want[0].HoursFrom, want[0].EstimatedHours, want[1].HoursFrom = hoursFromCompiler, 7, hoursFromFLOPs
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if rows[1].EstimatedHours == 7 {
		t.Errorf("the second row has the hours of the first: %v", rows[1].EstimatedHours)
	}
	var out bytes.Buffer
	if err := printPlan(&app{stdout: &out}, rows, experiment.V4Chip, experiment.PlacementChip); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"compiled", "flops", "does not fit", "36.00 GiB", "has 4 chips: a run computes on one of them today",
		"SHARDS (gradient_shards) of ROWS rows make a batch",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestPlanThatDoesNotFitIsAnError(t *testing.T) {
	rows := compiledRows()
	err := tooBig(rows, "v4:2x2x1")
	for _, want := range []string{"1 of 2 runs", "large: ", "36.00 GiB", "30.00 GiB", "--set gradient_shards=N"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
	if code := exitCode(err, &bytes.Buffer{}); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if err := tooBig(rows[:1], "v4:2x2x1"); err != nil {
		t.Errorf("what fits: %v", err)
	}
}

// TestPlanJSONWithoutCompilations: the hours are from FLOPs and say so, and nothing else is there.
func TestPlanJSONWithoutCompilations(t *testing.T) {
	out, err := plan(t, "e1_1_baseline", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	if _, compiled := rows[0]["compiled"]; compiled || rows[0]["hours_from"] != hoursFromFLOPs {
		t.Errorf("%v", rows[0])
	}
}
