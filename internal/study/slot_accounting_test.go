package study_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// A sweep whose attempt only found a run finished by others does not report that attempt as the time of the run.
func TestAccountingIsOfWhoeverTrained(t *testing.T) {
	trained := protocol.Goodput{protocol.BucketStarting: 0.1, protocol.BucketTraining: 9}
	found := protocol.Goodput{protocol.BucketQueued: 0.05, protocol.BucketStarting: 0.08}
	for name, c := range map[string]struct {
		row  study.ExperimentResult
		want bool
	}{
		"trained":                  {study.ExperimentResult{Status: study.StatusDone, WallSeconds: 10, Goodput: trained}, true},
		"found finished by others": {study.ExperimentResult{Status: study.StatusDone, WallSeconds: 0.13, Goodput: found}, false},
		"failed before it trained": {study.ExperimentResult{Status: study.StatusFailed, WallSeconds: 0.13, Goodput: found}, true},
		"finished before it began": {study.ExperimentResult{Status: study.StatusDone, Reused: true}, false},
		"stopped after some of it": {study.ExperimentResult{Status: study.StatusStopped, WallSeconds: 10, Goodput: trained}, true},
		"has not asked for a slot": {study.ExperimentResult{Status: study.StatusQueued}, false},
	} {
		t.Run(name, func(t *testing.T) {
			slot, ok := c.row.Accounting()
			want := protocol.Accounting{}
			if c.want {
				want = protocol.Accounting{WallSeconds: c.row.WallSeconds, Goodput: c.row.Goodput}
			}
			if diff := cmp.Diff(want, slot); ok != c.want || diff != "" {
				t.Errorf("%v, want %v (-want +got):\n%s", ok, c.want, diff)
			}
		})
	}
}
