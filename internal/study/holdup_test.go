package study_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

func heldRow(id, status string, h protocol.Holdup) study.ExperimentResult {
	return study.ExperimentResult{
		Item:     study.Item{ID: id, TotalSteps: 10},
		Status:   status,
		Holdup:   h,
		Progress: study.Progress{ETASeconds: 60},
	}
}

// A row says what holds it up in its status, and then it has no time left as if nothing did.
func TestStatusOfWhatIsHeldUp(t *testing.T) {
	full := protocol.Holdup{Kind: protocol.HoldupDiskFull}
	ofAttempt := heldRow("a", study.StatusRunning, protocol.Holdup{})
	ofAttempt.Progress.Holdup = full
	ended := ofAttempt
	ended.Status = study.StatusQueued
	for name, c := range map[string]struct {
		row          study.ExperimentResult
		status, left string
	}{
		"nothing":              {heldRow("a", study.StatusRunning, protocol.Holdup{}), "running", "1m0s"},
		"full disk":            {ofAttempt, "running (disk-full)", ""},
		"of an attempt before": {ended, "queued", ""},
		"paused":               {heldRow("a", study.StatusPaused, protocol.Holdup{Kind: protocol.HoldupPaused}), "paused", ""},
		"waits for its turn":   {heldRow("a", study.StatusQueued, protocol.Holdup{Kind: protocol.HoldupNoSlot}), "queued (no-slot)", ""},
		"over":                 {heldRow("a", study.StatusDone, full), "done", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got, left := c.row.StatusText(), c.row.TimeLeft(); got != c.status || left != c.left {
				t.Errorf("%q with %q left, want %q with %q", got, left, c.status, c.left)
			}
		})
	}
}

// What holds several experiments up is one sentence, with the time since when the first was; waiting for a turn needs none.
func TestSentencesOfHoldups(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 28, 9, minute, 0, 0, time.UTC) }
	away := func(minute int) protocol.Holdup {
		return protocol.Holdup{Kind: protocol.HoldupStorageAway, Where: "host-a", Since: at(minute), Detail: "connection refused"}
	}
	got := study.Holdups("sweep", []study.ExperimentResult{
		heldRow("a", study.StatusRunning, away(7)),
		heldRow("b", study.StatusRunning, away(5)),
		heldRow("c", study.StatusPaused, protocol.Holdup{Kind: protocol.HoldupPaused}),
		heldRow("d", study.StatusQueued, protocol.Holdup{Kind: protocol.HoldupNoSlot}),
		heldRow("e", study.StatusDone, away(1)),
		heldRow("f", study.StatusQueued, protocol.Holdup{Kind: "of a later version"}),
		heldRow("g", study.StatusPaused, protocol.Holdup{}),
	})
	want := []string{
		"a, b: the store does not answer on host-a since Nov 28 09:05 UTC: connection refused; it goes on by itself when the store is back",
		"c, g: paused by a command; `trmsweep resume --sweep sweep` lets it go on",
		"f: of a later version",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sentences (-want +got):\n%s", d)
	}
}

// The command that frees what is paused names the sweep that it is about, which need not be the newest.
func TestHoldupsNameTheirSweep(t *testing.T) {
	row := heldRow("a", study.StatusPaused, protocol.Holdup{Kind: protocol.HoldupPaused})
	row.Item.Phase = "scaling"
	for name, c := range map[string]struct{ id, want string }{
		"a sweep":       {"older", "`trmsweep resume --sweep older`"},
		"a phase":       {"older/scaling", "`trmsweep resume --sweep older`"},
		"an experiment": {"older/scaling/a", "`trmsweep resume --sweep older/scaling/a`"},
		"unknown":       {"", "`trmsweep resume`"},
	} {
		t.Run(name, func(t *testing.T) {
			got := study.Holdups(c.id, []study.ExperimentResult{row})
			if d := cmp.Diff([]string{"a: paused by a command; " + c.want + " lets it go on"}, got); d != "" {
				t.Errorf("sentences (-want +got):\n%s", d)
			}
		})
	}
}

// Of a sweep that trains, whoever is queued and knows of nothing else waits for its turn; before that it waits for the sweep.
func TestAwaitTurns(t *testing.T) {
	for stage, want := range map[string]string{study.StageTraining: protocol.HoldupNoSlot, "dataset": ""} {
		s := study.SweepResult{Stage: stage, Experiments: []study.ExperimentResult{
			heldRow("a", study.StatusQueued, protocol.Holdup{}),
			heldRow("b", study.StatusQueued, protocol.Holdup{Kind: protocol.HoldupBackoff}),
		}}
		s.AwaitTurns()
		if a, b := s.Experiments[0].HeldUp().Kind, s.Experiments[1].HeldUp().Kind; a != want || b != protocol.HoldupBackoff {
			t.Errorf("%s: held up by %q and %q, want %q and backoff", stage, a, b, want)
		}
	}
}

// A sweep is held up as a whole only while nothing trains; without a worker everything is that wants to go on.
func TestHoldupOfASweep(t *testing.T) {
	paused := protocol.Holdup{Kind: protocol.HoldupPaused}
	s := study.SweepResult{Experiments: []study.ExperimentResult{
		heldRow("a", study.StatusDone, protocol.Holdup{}),
		heldRow("b", study.StatusPaused, paused),
		heldRow("c", study.StatusRunning, protocol.Holdup{}),
	}}
	if h := s.HeldUp(); !h.None() {
		t.Errorf("held up by %+v while one trains", h)
	}
	s.NoWorker()
	kinds := []string{}
	for i := range s.Experiments {
		kinds = append(kinds, s.Experiments[i].HeldUp().Kind)
	}
	if d := cmp.Diff([]string{"", protocol.HoldupPaused, protocol.HoldupNoWorker}, kinds); d != "" {
		t.Errorf("without a worker (-want +got):\n%s", d)
	}
	if h := s.HeldUp(); h.Kind != protocol.HoldupPaused {
		t.Errorf("held up by %+v, want the first", h)
	}
}
