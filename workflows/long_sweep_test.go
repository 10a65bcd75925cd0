package workflows_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/activities"
	"trmsweep/internal/study"
	"trmsweep/workflows"
)

// manyItems is a plan of n experiments, of which every hundredth shares the run of the one before.
func manyItems(n int) *activities.Plan {
	phases := []string{"baseline", "ablations", "scaling", "advanced"}
	p := &activities.Plan{Profile: "paper", Code: "abc123"}
	for i := range n {
		phase := i * len(phases) / n
		id := fmt.Sprintf("e%d_%04d_with_a_name_of_usual_length", phase+1, i)
		it := study.Item{Experiment: id, ID: id, Phase: phases[phase], Run: fmt.Sprintf("%016x-s42", i), SpecHash: fmt.Sprintf("%064x", i),
			SpecKey: fmt.Sprintf("specs/%016x-s42.json", i), Seed: 42, TotalSteps: 48828, EstimatedHours: 4.1, Reference: "e1_3_batch_1024",
			Shape: "0123456789ab", Batch: 1024}
		if i%100 == 99 {
			it.SameAs = p.Items[i-1].ID
		}
		p.Items = append(p.Items, it)
	}
	return p
}

// A sweep of four rounds of experiments has a history for each round, and what it carries
// from one to the next would fit into a payload for a thousand experiments too.
func TestLongSweepContinuesAsNew(t *testing.T) {
	const round, rows = 50, 200
	workflows.SetRoundSize(t, round)
	w := newWorld()
	w.plan = manyItems(rows)
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		r := done(in)
		r.Progress.Goodput, r.Progress.Host = map[string]float64{"starting": 1, "compiling": 2, "restoring": 0, "training": 100, "saving": 1,
			"evaluating": 5}, "host-0123456789"
		return r, nil
	}
	var input any = map[string]any{}
	histories, largest := 0, 0
	for {
		histories++
		env := w.env(t)
		env.SetContinueAsNewSuggested(true)
		env.ExecuteWorkflow(workflows.AllAblationsType, input)
		if next := nextRun(t, env); next != nil {
			largest = max(largest, len(next))
			input = next
			continue
		}
		r := sweepResult(t, env)
		want := r
		want.Done, want.Failed, want.Status = rows, 0, study.StatusDone
		if diff := cmp.Diff(want, r); diff != "" {
			t.Fatalf("result (-want +got):\n%s\nnotes: %v", diff, r.Notes)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(data))
		break
	}
	for run, n := range w.attempts {
		if n != 1 {
			t.Errorf("%s trained %d times", run, n)
		}
	}
	if len(w.attempts) != rows-2 || histories != rows/round {
		t.Errorf("%d runs trained in %d histories, want %d in %d", len(w.attempts), histories, rows-2, rows/round)
	}
	if thousand := largest * 1000 / rows; thousand > 3<<19 { // the server takes 2 MiB
		t.Errorf("the largest payload of 1,000 experiments has %d bytes", thousand)
	}
}
