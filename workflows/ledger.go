package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"trmsweep/activities"
)

// account books one attempt that was asked for at asked and ended at ended:
// queued until it began, then what its process reported, and the rest lost. Training
// seconds of steps that no commit holds are lost too. The books add up to the wall clock.
func (r *ExperimentResult) account(p activities.Progress, asked, ended time.Time, done bool) {
	wall := ended.Sub(asked).Seconds()
	if r.Goodput == nil {
		r.Goodput = map[string]float64{}
	}
	r.WallSeconds += wall
	began := p.StartedAt
	if began.IsZero() || began.After(ended) {
		r.Goodput["queued"] += wall
		return
	}
	if began.Before(asked) { // clocks differ
		began = asked
	}
	queued := began.Sub(asked).Seconds()
	r.Goodput["queued"] += queued
	left := wall - queued
	scale, sum := 1.0, 0.0
	for _, k := range workflow.DeterministicKeys(p.Goodput) {
		sum += p.Goodput[k]
	}
	if sum > left && sum > 0 { // the host's clock runs faster than the server's
		scale = left / sum
	}
	lostShare := 0.0
	if lost := p.Step - max(p.CommittedStep, p.RestoredFrom); !done && lost > 0 {
		lostShare = float64(lost) / float64(p.Step-p.RestoredFrom)
		r.LostSteps += lost
	}
	for _, k := range workflow.DeterministicKeys(p.Goodput) {
		s := p.Goodput[k] * scale
		left -= s
		if k == "training" {
			r.Goodput["lost"] += s * lostShare
			s *= 1 - lostShare
		}
		r.Goodput[k] += s
	}
	rest := "lost" // between the death and its discovery
	if done || sum == 0 {
		rest = "starting"
	}
	r.Goodput[rest] += max(left, 0)
}

// goodput is the share of the slot's time, from the start of an attempt to its
// end, that went into steps that count. Waiting for a slot is not in it.
func (r *ExperimentResult) goodput() float64 { return share(r.Goodput, r.WallSeconds) }

func share(ledger map[string]float64, wall float64) float64 {
	if wall -= ledger["queued"]; wall <= 0 {
		return 0
	}
	return ledger["training"] / wall
}

func addLedgers(into map[string]float64, from map[string]float64) map[string]float64 {
	if into == nil {
		into = map[string]float64{}
	}
	for _, k := range workflow.DeterministicKeys(from) {
		into[k] += from[k]
	}
	return into
}
