package workflows_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
	"trmsweep/workflows"
)

// thousand is a plan of 1,000 experiments, of which every hundredth shares the run of the one before.
func thousand() *activities.Plan {
	phases := []string{"baseline", "ablations", "scaling", "advanced"}
	p := &activities.Plan{Profile: "paper", Code: "abc123"}
	for i := range 1000 {
		id := fmt.Sprintf("e%d_%04d_with_a_name_of_usual_length", i/250+1, i)
		it := activities.Item{Experiment: id, ID: id, Phase: phases[i/250], Run: fmt.Sprintf("%016x-s42", i), SpecHash: fmt.Sprintf("%064x", i),
			SpecKey: fmt.Sprintf("specs/%016x-s42.json", i), Seed: 42, TotalSteps: 48828, EstimatedHours: 4.1, Reference: "e1_3_batch_1024", Shape: "0123456789ab", Batch: 1024}
		if i%100 == 99 {
			it.SameAs = p.Items[i-1].ID
		}
		p.Items = append(p.Items, it)
	}
	return p
}

// A sweep of 1,000 experiments is four rounds, each with a history of its own.
func TestThousandExperiments(t *testing.T) {
	w := newWorld()
	w.plan = thousand()
	w.train = func(n int, in activities.TrainInput) (activities.TrainResult, error) {
		r := done(in)
		r.Progress.Goodput, r.Progress.Host = map[string]float64{"starting": 1, "compiling": 2, "restoring": 0, "training": 100, "saving": 1, "evaluating": 5}, "host-0123456789"
		return r, nil
	}
	var input any
	begin := time.Now()
	runs, largest := 0, 0
	for {
		runs++
		env := w.env(t)
		env.SetContinueAsNewSuggested(true)
		if input == nil {
			env.ExecuteWorkflow(workflows.AllAblationsType)
		} else {
			env.ExecuteWorkflow(workflows.AllAblationsType, input)
		}
		var again *workflow.ContinueAsNewError
		if err := env.GetWorkflowError(); errors.As(err, &again) {
			var raw json.RawMessage
			payload := again.Input.GetPayloads()[0].GetData()
			largest = max(largest, len(payload))
			raw = slices.Clone(payload)
			input = raw
			continue
		}
		r := sweepResult(t, env)
		if r.Done != 1000 || r.Failed != 0 || r.Status != workflows.StatusDone {
			t.Fatalf("%d done, %d failed, %s: %v", r.Done, r.Failed, r.Status, r.Notes)
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
	if len(w.attempts) != 990 || runs != 4 {
		t.Errorf("%d runs trained in %d histories, want 990 in 4", len(w.attempts), runs)
	}
	if largest > 3<<19 { // the server takes 2 MiB
		t.Errorf("the largest payload has %d bytes", largest)
	}
	t.Logf("%.2f ms of orchestration per experiment, largest payload %d KiB", float64(time.Since(begin).Milliseconds())/1000, largest>>10)
}
