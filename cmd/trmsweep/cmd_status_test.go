package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"trmsweep/internal/study"
)

// TestStatusSaysWhere: what trains shows its host and chip, what has ended no longer does.
func TestStatusSaysWhere(t *testing.T) {
	row := func(id, status, host string) study.ExperimentResult {
		return study.ExperimentResult{Item: study.Item{ID: id, TotalSteps: 10}, Status: status, Progress: study.Progress{Host: host}}
	}
	st := study.SweepResult{Sweep: "s", Status: study.StatusRunning, Experiments: []study.ExperimentResult{
		row("one", study.StatusRunning, "t1v-n-7 chip 2"), row("two", study.StatusDone, "t1v-n-8 chip 0")}}
	got := strings.Join(statusLines(st, 0), "\n")
	if !strings.Contains(got, "t1v-n-7 chip 2") || strings.Contains(got, "t1v-n-8") {
		t.Errorf("status:\n%s", got)
	}
}

// Rows of real names and numbers fit 80 columns, and the time left is never what is left out.
func TestStatusFitsTheTerminal(t *testing.T) {
	item := study.Item{ID: "e1_4_without_ema_and_longer-s42", Phase: "architecture", TotalSteps: 781_250}
	st := study.SweepResult{Sweep: "s", Status: study.StatusRunning, Experiments: []study.ExperimentResult{{
		Item:   item,
		Status: study.StatusRunning,
		Progress: study.Progress{Step: 123_456, ETASeconds: 345_678, Loss: 1.234, EvalStep: 9, BestExactAccuracy: 0.1406, BestPuzzles: 4096,
			Host: "t1v-n-7 chip 2"},
	}}}
	for _, width := range []int{200, 132, 80, 60, 40} {
		table := statusLines(st, width)[1:]
		for _, line := range table {
			if n := utf8.RuneCountInString(line); n > width || line != strings.TrimRight(line, " ") {
				t.Errorf("width %d: %d runes: %q", width, n, line)
			}
		}
		if row := table[1]; !strings.Contains(row, "running") || !strings.Contains(row, "96h1m18s") {
			t.Errorf("width %d: no status or no time left: %q", width, row)
		}
	}
}
