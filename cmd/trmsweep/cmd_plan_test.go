package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plan runs the command alone and returns its output.
func plan(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newPlanCmd(&app{stdout: &out, stderr: &out})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestPlanJSON(t *testing.T) {
	out, err := plan(t, "AllAblations", "--profile", "paper", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []planRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 18 {
		t.Fatalf("%d rows, want 18", len(rows))
	}
	want := rows[0]
	want.Experiment = "e1_1_baseline"
	want.Params = 5_028_866
	want.TotalSteps = 195_312
	want.SameAs = nil
	if diff := cmp.Diff(want, rows[0]); diff != "" {
		t.Errorf("first row (-want +got):\n%s", diff)
	}
	for _, r := range rows {
		if (r.SameAs != nil) != (r.Experiment == "e2_2_t3_n6") || r.EstimatedHours <= 0 || r.CheckpointBytes <= 0 {
			t.Errorf("row %+v", r)
		}
	}
}

// TestPlanSaysTheMemory that preflight asks for: less on the host where an accelerator trains, more where XLA computes on its CPU.
func TestPlanSaysTheMemory(t *testing.T) {
	memory := map[string]int64{}
	for _, backend := range []string{"cpu", "xla:cpu", "xla:tpu"} {
		out, err := plan(t, "e1_1_baseline", "--json", "--backend", backend)
		if err != nil {
			t.Fatal(err)
		}
		var rows []planRow
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		memory[backend] = rows[0].MemoryBytes
	}
	if m := memory; m["xla:tpu"] < 100e6 || m["xla:tpu"] >= m["cpu"] || m["cpu"] >= m["xla:cpu"] {
		t.Errorf("bytes %v", m)
	}
	out, err := plan(t, "e1_1_baseline", "--backend", "cpu")
	if err != nil || !strings.Contains(out, fmt.Sprintf("  %.0f  ", float64(memory["cpu"])/1e6)) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPlanRefusesWrongInput(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"name", "the nearest known one is TNSweep", []string{"TNSwep"}},
		{"key", "the nearest known key is hidden_size", []string{"--set", "hiden_size=1"}},
		{"utilisation", "fraction", []string{"--utilisation", "2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := plan(t, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || exitCode(err, &bytes.Buffer{}) != exitUsage {
				t.Errorf("got %v, want a usage error with %q", err, tc.want)
			}
		})
	}
}

func TestMakespan(t *testing.T) {
	if got := makespan([]float64{3, 3, 2, 2, 2}, 2); got != 7 {
		t.Errorf("makespan %v, want 7 (longest first)", got)
	}
}
