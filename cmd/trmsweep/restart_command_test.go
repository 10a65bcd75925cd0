package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/study"
)

// What the command says is what was given, and `start` has every flag of it.
func TestStartCommand(t *testing.T) {
	for name, c := range map[string]struct {
		in   study.SweepInput
		want string
	}{
		"nothing given": {study.SweepInput{}, "trmsweep start TNSweep --id F2"},
		"all given": {study.SweepInput{
			Profile:        "smoke",
			Phases:         []string{"baseline", "ablations"},
			Experiments:    []string{"e2_2_t2_n2"},
			Seeds:          []int64{1, 2},
			Overrides:      []string{"epochs=10", "lr=1e-4"},
			Parallelism:    2,
			Priority:       1,
			BudgetHours:    0.5,
			Force:          true,
			Preflight:      "none",
			StopOnCollapse: true,
			Halving:        3,
		}, "trmsweep start TNSweep --id F2 --profile smoke --phases baseline,ablations --experiments e2_2_t2_n2 --seeds 1,2 --set epochs=10 " +
			"--set lr=1e-4 --parallelism 2 --priority 1 --budget-hours 0.5 --preflight none --halving 3 --stop-on-collapse"},
	} {
		t.Run(name, func(t *testing.T) {
			got := startCommand("TNSweep", "F2", c.in)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			cmd := newStartCmd(&app{})
			if err := cmd.ParseFlags(strings.Fields(got)[3:]); err != nil {
				t.Error(err)
			}
		})
	}
}
