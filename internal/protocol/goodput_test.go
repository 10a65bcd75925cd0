package protocol

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccountingsAddUp(t *testing.T) {
	var sum Accounting
	sum.Add(Accounting{WallSeconds: 100, Goodput: Goodput{BucketQueued: 20, BucketTraining: 60, BucketLost: 20}, Preemptions: 1, LostSteps: 7})
	sum.Add(Accounting{WallSeconds: 10, Goodput: Goodput{BucketTraining: 10, BucketSaving: math.NaN()}})
	want := Accounting{WallSeconds: 110, Preemptions: 1, LostSteps: 7,
		Goodput: Goodput{BucketQueued: 20, BucketStarting: 0, BucketCompiling: 0,
			BucketRestoring: 0, BucketTraining: 70, BucketSaving: 0, BucketEvaluating: 0, BucketLost: 20}}
	if d := cmp.Diff(want, sum); d != "" {
		t.Error(d)
	}
	for what, n := range map[string][2]float64{
		"total":                       {sum.Goodput.Total(), 110},
		"time in a slot":              {sum.InSlot(), 90},
		"share":                       {sum.Share(), 70.0 / 90},
		"share of no time":            {Accounting{}.Share(), 0},
		"share of time in queue only": {Goodput{BucketQueued: 5}.Share(5), 0},
		"gap":                         {sum.Gap(), 0},
		"gap of a missing half":       {Accounting{WallSeconds: 2, Goodput: Goodput{BucketTraining: 1}}.Gap(), 0.5},
	} {
		if n[0] != n[1] {
			t.Errorf("%s is %g, want %g", what, n[0], n[1])
		}
	}
}
