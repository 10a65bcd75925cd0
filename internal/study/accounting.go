package study

import (
	"time"

	"trmsweep/internal/protocol"
)

// Account adds the wall clock of one attempt, from asking for a slot to its end, to the
// buckets of the experiment. The attempt was queued until it started; then come the seconds
// that its process reported; the rest is lost. Training seconds of steps that no checkpoint
// holds are lost too. The buckets add up to the wall clock.
func (r *ExperimentResult) Account(p Progress, asked, ended time.Time, done bool) {
	wall := ended.Sub(asked).Seconds()
	if r.Goodput == nil {
		r.Goodput = protocol.Goodput{}
	}
	r.WallSeconds += wall
	started := p.StartedAt
	if started.IsZero() || started.After(ended) {
		r.Goodput[protocol.BucketQueued] += wall
		return
	}
	if started.Before(asked) { // the clocks differ
		started = asked
	}
	queued := started.Sub(asked).Seconds()
	r.Goodput[protocol.BucketQueued] += queued
	left := wall - queued
	reported := 0.0
	for _, bucket := range protocol.Buckets {
		reported += p.Goodput[bucket]
	}
	scale := 1.0
	if reported > left && reported > 0 { // the host's clock runs faster than the server's
		scale = left / reported
	}
	lostShare := r.loseSteps(p, done)
	for _, bucket := range protocol.Buckets {
		seconds, ok := p.Goodput[bucket]
		if !ok {
			continue
		}
		seconds *= scale
		left -= seconds
		if bucket == protocol.BucketTraining {
			r.Goodput[protocol.BucketLost] += seconds * lostShare
			seconds *= 1 - lostShare
		}
		r.Goodput[bucket] += seconds
	}
	rest := protocol.BucketLost // the time between the death of the process and its discovery
	if done || reported == 0 {
		rest = protocol.BucketStarting
	}
	r.Goodput[rest] += max(left, 0)
}

// loseSteps counts the steps of an attempt that no checkpoint holds and returns their share of its steps.
func (r *ExperimentResult) loseSteps(p Progress, done bool) float64 {
	lost := p.Step - max(p.CommittedStep, p.RestoredFrom)
	if done || lost <= 0 {
		return 0
	}
	r.LostSteps += lost
	return float64(lost) / float64(p.Step-p.RestoredFrom)
}

// GoodputShare is the part of the time in a slot that trained steps which count.
func (r *ExperimentResult) GoodputShare() float64 { return r.Goodput.Share(r.WallSeconds) }
