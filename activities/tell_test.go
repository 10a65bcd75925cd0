package activities

import (
	"testing"
	"time"
)

// What a workflow is told makes its history longer: an hour of training is a dozen checkpoints, whatever else it brings.
func TestWorthTelling(t *testing.T) {
	told := &Progress{Step: 10, CommittedStep: 10, EvalStep: 10}
	for name, c := range map[string]struct {
		told        *Progress
		now         Progress
		since       time.Duration
		evaluations bool
		want        bool
	}{
		"it has begun":               {nil, Progress{}, 0, false, true},
		"steps":                      {told, Progress{Step: 99, CommittedStep: 10, EvalStep: 10}, time.Hour, true, false},
		"a checkpoint":               {told, Progress{Step: 99, CommittedStep: 20, EvalStep: 10}, tellAgain, false, true},
		"a checkpoint soon after":    {told, Progress{Step: 99, CommittedStep: 20, EvalStep: 10}, tellAgain - 1, false, false},
		"an evaluation":              {told, Progress{Step: 99, CommittedStep: 10, EvalStep: 20}, time.Hour, false, false},
		"an evaluation that decides": {told, Progress{Step: 99, CommittedStep: 10, EvalStep: 20}, 0, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := worthTelling(c.told, c.now, c.since, c.evaluations); got != c.want {
				t.Errorf("told: %v, want %v", got, c.want)
			}
		})
	}
}
