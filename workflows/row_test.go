package workflows

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/study"
)

// What was begun before a restart changes the row no more.
func TestRowLeavesItsPhaseOnlyOnce(t *testing.T) {
	r := newRow(study.Item{ID: "e1"})
	if !r.pending() || r.begun() {
		t.Errorf("a new row is in stage %d", r.stage)
	}
	r.enterPhase("sweep/baseline")
	r.leave(r.restarts)
	if r.stage != stageEnded || r.phase != "" {
		t.Errorf("after the end of its phase it is in stage %d of phase %q", r.stage, r.phase)
	}
	before := r.restarts
	r.restarts++
	r.waitForSlot()
	r.leave(before)
	if r.stage != stageWaiting {
		t.Errorf("what was begun before the restart has moved it to stage %d", r.stage)
	}
}

// A command for a row that has not begun holds when it begins.
func TestRowRemembersCommands(t *testing.T) {
	r := newRow(study.Item{ID: "e1"})
	r.remember(study.Command{Action: study.ActionPause})
	r.remember(study.Command{Action: study.ActionPriority, Priority: 2})
	got := r.forPhase()
	want := got
	want.Paused, want.Priority = true, 2
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it begins with (-want +got):\n%s", diff)
	}
	r.remember(study.Command{Action: study.ActionResume})
	if got := r.forPhase(); got.Paused {
		t.Error("it begins with a pause that was taken back")
	}
}

// A row that shares the run of another trains nothing.
func TestSharedRowNeverBegins(t *testing.T) {
	r := newRow(study.Item{ID: "e1", SameAs: "e0"})
	if r.pending() || r.trains() || r.begun() {
		t.Errorf("stage %d", r.stage)
	}
}

// What waits for the end of another experiment still does after a continue-as-new.
func TestRowCarriesWhatItExtends(t *testing.T) {
	from, to := newRow(study.Item{ID: "e1"}), newRow(study.Item{ID: "e1_more"})
	to.waitForEnd(from)
	if diff := cmp.Diff(carriedRow{Extends: "e1"}, to.carry()); diff != "" {
		t.Errorf("carried (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(carriedRow{}, from.carry()); diff != "" {
		t.Errorf("carried of a row without anything to keep (-want +got):\n%s", diff)
	}
}
