package study

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
)

// Markdown is the page of a sweep in the Web UI, as it was at a time.
func (s *SweepResult) Markdown(at time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**, profile %s: %d of %d done", s.Status, s.Profile, s.Done, len(s.Experiments))
	if s.Failed > 0 {
		fmt.Fprintf(&b, ", %d failed", s.Failed)
	}
	if s.Status == StatusRunning && s.Stage != "" {
		fmt.Fprintf(&b, "; now: %s", s.Stage)
	}
	if e := s.TimeLeft(); e != "" {
		b.WriteString("; time left: " + e)
	}
	if s.Status == StatusRunning && s.Hosts > 0 {
		fmt.Fprintf(&b, "; hosts: %d", s.Hosts)
	}
	if g := s.Goodput.Share(s.WallSeconds); g > 0 {
		fmt.Fprintf(&b, "; goodput %.0f%%", 100*g)
	}
	if s.Status == StatusRunning {
		fmt.Fprintf(&b, "; as of %s, `trmsweep status %s` knows the present", at.UTC().Format("2006-01-02 15:04 MST"), s.Sweep)
	}
	b.WriteString("\n\n" + Table(s.withTurns()))
	t := preflight.Table{OK: true}
	if t.Add(s.Preflight...); !t.OK {
		b.WriteString("\n\nPreflight:\n\n" + t.Markdown())
	}
	for _, line := range Holdups(s.Sweep, s.Experiments) {
		b.WriteString("\n- held up: " + line)
	}
	for _, n := range slices.Concat(s.Notes, HostNotes(s.Experiments)) {
		b.WriteString("\n- note: " + n)
	}
	for _, r := range s.Experiments {
		if why := r.Error + r.Reason; why != "" && r.Item.SameAs == "" {
			fmt.Fprintf(&b, "\n- %s: %s", r.Item.ID, why)
		}
	}
	return b.String()
}

// withTurns are the rows for the page: while the sweep trains, one that is queued and says nothing else waits for a slot. That
// changes nothing for the sweep, so no experiment tells it.
func (s *SweepResult) withTurns() []ExperimentResult {
	rows := slices.Clone(s.Experiments)
	for i := range rows {
		r := &rows[i]
		waits := s.Stage == StageTraining && r.Status == StatusQueued
		if waits && r.HeldUp().None() {
			r.Holdup = protocol.Holdup{Kind: protocol.HoldupNoSlot}
		}
	}
	return rows
}

// Table is the Markdown table of experiments in the Web UI.
func Table(rows []ExperimentResult) string {
	var b strings.Builder
	b.WriteString("| experiment | status | step | loss | best exact | preemptions | ETA |\n|---|---|---|---|---|---|---|\n")
	for i, r := range rows {
		if i == 200 {
			fmt.Fprintf(&b, "\n%d more: `trmsweep status`\n", len(rows)-i)
			break
		}
		fmt.Fprintf(&b, "| %s | %s | %d/%d | %s | %s | %d | %s |\n", r.Item.ID, r.StatusText(), r.Progress.Step, r.Item.TotalSteps,
			r.LossText(), r.BestText(), r.Preemptions, r.TimeLeft())
	}
	return b.String()
}

// TimeLeft is the forecast for people. It is empty if there is none.
func (s *SweepResult) TimeLeft() string {
	if s.ETASeconds <= 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s to %s)", eta(s.ETASeconds), eta(math.Max(s.ETALow, 1)), eta(s.ETAHigh))
}

func eta(seconds float64) string {
	if seconds <= 0 {
		return ""
	}
	return (time.Duration(seconds) * time.Second).String()
}
