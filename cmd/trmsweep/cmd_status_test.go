package main

import (
	"bytes"
	"strings"
	"testing"

	"trmsweep/internal/study"
)

// TestStatusSaysWhere: what trains shows its host and chip, what has ended no longer does.
func TestStatusSaysWhere(t *testing.T) {
	row := func(id, status, host string) study.ExperimentResult {
		return study.ExperimentResult{Item: study.Item{ID: id, TotalSteps: 10}, Status: status, Progress: study.Progress{Host: host}}
	}
	var out bytes.Buffer
	st := study.SweepResult{Sweep: "s", Status: study.StatusRunning, Experiments: []study.ExperimentResult{
		row("one", study.StatusRunning, "t1v-n-7 chip 2"), row("two", study.StatusDone, "t1v-n-8 chip 0")}}
	if err := writeStatus(&out, st); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "t1v-n-7 chip 2") || strings.Contains(out.String(), "t1v-n-8") {
		t.Errorf("status:\n%s", out.String())
	}
}
