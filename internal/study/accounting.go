package study

import (
	"slices"
	"time"

	"trmsweep/internal/protocol"
)

// Account adds the wall clock of one attempt, from asking for a slot to its end, to the
// buckets of the experiment. The attempt was queued until it started; then come the seconds
// that its process reported; the rest is lost. Training seconds of steps that no checkpoint
// holds are lost too. The buckets add up to the wall clock. What an attempt did after it was last heard (its worker was stopped,
// or cut off, while the process trained on) is known when a later attempt restores it: it is not lost then.
func (r *ExperimentResult) Account(p Progress, asked, ended time.Time, done bool) {
	wall := ended.Sub(asked).Seconds()
	if r.Goodput == nil {
		r.Goodput = protocol.Goodput{}
	}
	r.WallSeconds += wall
	r.FindUnheard(p, done)
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
	lastHeard := Unheard{From: max(p.CommittedStep, p.RestoredFrom), To: p.Step, PerStep: protocol.Goodput{}}
	for _, bucket := range protocol.Buckets {
		seconds, ok := p.Goodput[bucket]
		if !ok {
			continue
		}
		seconds *= scale
		left -= seconds
		if slices.Contains(useful, bucket) && p.Step > p.RestoredFrom {
			lastHeard.PerStep[bucket] = seconds / float64(p.Step-p.RestoredFrom)
		}
		if bucket == protocol.BucketTraining {
			lastHeard.LostTraining = seconds * lostShare
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
	if rest == protocol.BucketLost {
		lastHeard.Seconds = max(left, 0)
		r.Unheard = &lastHeard
	}
}

// useful are the buckets of what a process does for its run.
var useful = []string{protocol.BucketTraining, protocol.BucketSaving, protocol.BucketEvaluating}

// Unheard is what was booked as lost of an attempt that did not say its last word. The next attempt shows how much of it a
// checkpoint holds nevertheless.
type Unheard struct {
	From         int64            `json:"from"`          // the last step that was known to be committed
	To           int64            `json:"to"`            // the last step that was heard of
	LostTraining float64          `json:"lost_training"` // seconds of the steps between
	Seconds      float64          `json:"seconds"`       // from the last word to the discovery
	PerStep      protocol.Goodput `json:"per_step"`      // seconds, in the useful buckets
}

// FindUnheard takes what the attempt before had committed unheard out of what is lost, by what this one says that it found.
func (r *ExperimentResult) FindUnheard(p Progress, done bool) {
	u := r.Unheard
	found := p.RestoredFrom
	if done && found == 0 && p.Goodput[protocol.BucketTraining] == 0 { // the run was finished
		found = p.Step
	}
	if u == nil || found == 0 {
		return
	}
	r.Unheard = nil
	if kept := min(found, u.To) - u.From; kept > 0 {
		seconds := u.LostTraining * float64(kept) / float64(u.To-u.From)
		r.KeptSteps += kept
		r.LostSteps -= kept
		r.Goodput[protocol.BucketLost] -= seconds
		r.Goodput[protocol.BucketTraining] += seconds
	}
	more := float64(found - u.To)
	if more <= 0 {
		return
	}
	scale := 1.0
	if took := more * u.PerStep.Total(); took > u.Seconds { // it also trained while the next attempt was queued
		scale = u.Seconds / took
	}
	r.KeptSteps += int64(more * scale)
	for _, bucket := range useful {
		seconds := more * u.PerStep[bucket] * scale
		r.Goodput[protocol.BucketLost] -= seconds
		r.Goodput[bucket] += seconds
	}
}

// loseSteps counts the steps of an attempt that no checkpoint holds, the others as kept, and returns the share of those lost.
func (r *ExperimentResult) loseSteps(p Progress, done bool) float64 {
	lost := max(p.Step-max(p.CommittedStep, p.RestoredFrom), 0)
	if done {
		lost = 0
	}
	r.LostSteps += lost
	r.KeptSteps += max(p.Step-p.RestoredFrom, 0) - lost
	if lost == 0 {
		return 0
	}
	return float64(lost) / float64(p.Step-p.RestoredFrom)
}

// GoodputShare is the part of the time in a slot that trained steps which count.
func (r *ExperimentResult) GoodputShare() float64 { return r.Goodput.Share(r.WallSeconds) }
