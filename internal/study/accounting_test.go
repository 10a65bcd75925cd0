package study_test

import (
	"math"
	"testing"
	"time"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// However an attempt ends, the buckets add up to the wall clock, and steps that no checkpoint holds are lost.
func TestAccountAddsUp(t *testing.T) {
	asked := time.Unix(1000, 0)
	started, ended := asked.Add(100*time.Second), asked.Add(300*time.Second)
	for name, c := range map[string]struct {
		p    study.Progress
		done bool
		want protocol.Goodput
		lost int64
	}{
		"it never started":       {study.Progress{}, false, protocol.Goodput{"queued": 300}, 0},
		"it died without a word": {study.Progress{StartedAt: started}, false, protocol.Goodput{"queued": 100, "starting": 200}, 0},
		"it finished": {study.Progress{StartedAt: started, Step: 50, CommittedStep: 50,
			Goodput: protocol.Goodput{"starting": 20, "training": 170}}, true,
			protocol.Goodput{"queued": 100, "starting": 30, "training": 170}, 0},
		"half of its steps are not saved": {study.Progress{StartedAt: started, Step: 50, RestoredFrom: 10, CommittedStep: 30,
			Goodput: protocol.Goodput{"training": 160}}, false,
			protocol.Goodput{"queued": 100, "training": 80, "lost": 120}, 20},
		"its clock runs twice as fast": {study.Progress{StartedAt: started, Step: 50, CommittedStep: 50,
			Goodput: protocol.Goodput{"compiling": 100, "training": 300}}, true,
			protocol.Goodput{"queued": 100, "compiling": 50, "training": 150, "starting": 0}, 0},
		"its clock is behind": {study.Progress{StartedAt: asked.Add(-time.Hour), Goodput: protocol.Goodput{"training": 300}}, true,
			protocol.Goodput{"queued": 0, "training": 300}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var r study.ExperimentResult
			r.Account(c.p, asked, ended, c.done)
			for _, bucket := range protocol.Buckets {
				if math.Abs(r.Goodput[bucket]-c.want[bucket]) > 1e-9 {
					t.Errorf("%s: %g s, want %g s", bucket, r.Goodput[bucket], c.want[bucket])
				}
			}
			if r.LostSteps != c.lost || math.Abs(r.Goodput.Total()-r.WallSeconds) > 1e-9 {
				t.Errorf("%d steps lost, want %d; %g s of %g s are accounted for", r.LostSteps, c.lost, r.Goodput.Total(), r.WallSeconds)
			}
		})
	}
}

// A worker that was stopped for a while does not hear what its process commits meanwhile: the next attempt restores it, and
// what is restored was not lost.
func TestUnheardWorkIsFound(t *testing.T) {
	asked := time.Unix(1000, 0)
	stopped := study.Progress{ // heard last after 50 s, given up after 80 s
		StartedAt:     asked,
		Step:          50,
		CommittedStep: 30,
		Goodput:       protocol.Goodput{"starting": 5, "training": 40, "evaluating": 5},
	}
	for _, c := range []struct {
		name string
		next study.Progress
		done bool
		want protocol.Goodput
		lost int64
	}{
		{"nothing was committed any more", study.Progress{RestoredFrom: 30, Goodput: protocol.Goodput{"training": 20}}, true,
			protocol.Goodput{"starting": 5, "training": 44, "evaluating": 5, "lost": 46}, 20},
		{"half of the steps", study.Progress{RestoredFrom: 40, Goodput: protocol.Goodput{"training": 20}}, true,
			protocol.Goodput{"starting": 5, "training": 52, "evaluating": 5, "lost": 38}, 10},
		{"twenty steps more", study.Progress{RestoredFrom: 70, Goodput: protocol.Goodput{"training": 20}}, true,
			protocol.Goodput{"starting": 5, "training": 76, "evaluating": 7, "lost": 12}, 0},
		{"it went on while the next one was queued", study.Progress{RestoredFrom: 1050, Goodput: protocol.Goodput{"training": 20}}, true,
			protocol.Goodput{"starting": 5, "training": 86.6667, "evaluating": 8.3333}, 0},
		{"it finished the run", study.Progress{Step: 70}, true,
			protocol.Goodput{"starting": 25, "training": 56, "evaluating": 7, "lost": 12}, 0},
		{"the next one dies before it restores", study.Progress{}, false,
			protocol.Goodput{"starting": 25, "training": 24, "evaluating": 5, "lost": 46}, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r study.ExperimentResult
			r.Account(stopped, asked, asked.Add(80*time.Second), false)
			c.next.StartedAt = asked.Add(80 * time.Second)
			c.next.Step = max(c.next.Step, c.next.RestoredFrom)
			c.next.CommittedStep = c.next.Step
			r.Account(c.next, c.next.StartedAt, c.next.StartedAt.Add(20*time.Second), c.done)
			for _, bucket := range protocol.Buckets {
				if math.Abs(r.Goodput[bucket]-c.want[bucket]) > 1e-3 {
					t.Errorf("%s: %g s, want %g s", bucket, r.Goodput[bucket], c.want[bucket])
				}
			}
			if r.LostSteps != c.lost || math.Abs(r.Goodput.Total()-r.WallSeconds) > 1e-9 {
				t.Errorf("%d steps lost, want %d; %g s of %g s are accounted for", r.LostSteps, c.lost, r.Goodput.Total(), r.WallSeconds)
			}
		})
	}
}
