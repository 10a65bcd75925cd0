package main

import (
	"bytes"
	"strings"
	"testing"

	"trmsweep/activities"
	"trmsweep/workflows"
)

// TestStatusSaysWhere: what trains shows its host and chip, what has ended no longer does.
func TestStatusSaysWhere(t *testing.T) {
	row := func(id, status, host string) workflows.ExperimentResult {
		return workflows.ExperimentResult{Item: activities.Item{ID: id, TotalSteps: 10}, Status: status, Progress: activities.Progress{Host: host}}
	}
	var out bytes.Buffer
	st := workflows.SweepResult{Sweep: "s", Status: workflows.StatusRunning, Experiments: []workflows.ExperimentResult{
		row("one", workflows.StatusRunning, "t1v-n-7 chip 2"), row("two", workflows.StatusDone, "t1v-n-8 chip 0")}}
	if err := writeStatus(&out, st); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "t1v-n-7 chip 2") || strings.Contains(out.String(), "t1v-n-8") {
		t.Errorf("status:\n%s", out.String())
	}
}
