package study_test

import (
	"strings"
	"testing"
	"time"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// The page says that a queued row waits for a slot only while the sweep trains, and not over a reason that is known.
func TestPageSaysWhoWaitsForASlot(t *testing.T) {
	for name, c := range map[string]struct {
		stage string
		held  protocol.Holdup
		want  string
	}{
		"training":       {study.StageTraining, protocol.Holdup{}, "| a | queued (no-slot) |"},
		"preflight":      {"preflight", protocol.Holdup{}, "| a | queued |"},
		"a known reason": {study.StageTraining, protocol.Holdup{Kind: protocol.HoldupBackoff}, "| a | queued (backoff) |"},
	} {
		t.Run(name, func(t *testing.T) {
			row := study.ExperimentResult{Item: study.Item{ID: "a"}, Status: study.StatusQueued, Holdup: c.held}
			s := study.SweepResult{Status: study.StatusRunning, Stage: c.stage, Experiments: []study.ExperimentResult{row}}
			if page := s.Markdown(time.Time{}); !strings.Contains(page, c.want) {
				t.Errorf("no %q in:\n%s", c.want, page)
			}
			if s.Experiments[0].Holdup != c.held {
				t.Error("the row itself has changed")
			}
		})
	}
}
