package protocol

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a training process prints, its parent reads.
func TestEventLinesAreReadAsTheyWereWritten(t *testing.T) {
	progress := Event{Type: EventProgress, State: StateTraining, Step: 7, Total: 10, CommittedStep: 5, RestoredFrom: 2,
		Loss: 1.5, ExactAccuracy: 0.25, BestExactAccuracy: 0.5, BestPuzzles: 64, StepsPerSecond: 3, ETASeconds: 1,
		Goodput: Goodput{BucketTraining: 2}}
	result := AttemptResult{Run: "r", Step: 10, Total: 10, CommittedStep: 10, Finished: true, StateSHA256: "ab", BatchSHA256: "cd",
		RestoredFromStep: 5, Backend: "cpu", Outcome: &Outcome{FinalExactAccuracy: 0.25, BestExactAccuracy: 0.5, Puzzles: 128, BestPuzzles: 128}}
	resultLine, err := result.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		line string
		want Event
		ok   bool
	}{
		{"progress", string(progress.JSON()), progress, true},
		{"error", string(Event{Type: EventError, ExitCode: ExitFinal, Message: "loss is not finite"}.JSON()),
			Event{Type: EventError, ExitCode: ExitFinal, Message: "loss is not finite"}, true},
		{"result", string(resultLine), Event{Type: EventResult, Step: 10, Total: 10, CommittedStep: 10, RestoredFrom: 5, Result: &result}, true},
		{"a field that this version does not know", `{"type":"progress","step":1,"new":2}`, Event{Type: EventProgress, Step: 1}, true},
		{"not JSON", "panic: index out of range", Event{}, false},
		{"JSON without a type", `{"step":1}`, Event{}, false},
		{"empty", "", Event{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseEvent([]byte(c.line))
			if ok != c.ok {
				t.Fatalf("ParseEvent says %v, want %v", ok, c.ok)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNumbersThatJSONCannotHoldDoNotLoseTheLine(t *testing.T) {
	inf := 1.0
	for range 2000 {
		inf *= 2
	}
	e, ok := ParseEvent(Event{Type: EventProgress, Step: 3, Loss: inf}.JSON())
	if !ok || e.Step != 3 || e.Message == "" {
		t.Errorf("read %+v, %v", e, ok)
	}
}
