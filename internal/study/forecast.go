package study

import (
	"math"
	"slices"

	"trmsweep/internal/protocol"
)

// forecast is the seconds that a sweep will still take, with a 95% interval. All are zero if
// nothing is known yet or nothing is left.
type forecast struct{ mean, low, high float64 }

// forecast extrapolates the sweep: every experiment goes on at the speed seen so far, and
// preemptions come as often and cost as much as they did. As many slots as are at work now take
// what is left, one experiment after another: the slots of a host that died are not counted on.
// Nor is what waits for somebody: a paused experiment, or one whose disk is full, is left out.
// The interval begins at a perfect packing of the slots and has two standard deviations on either side.
func (s *SweepResult) forecast() forecast {
	seen := s.observe()
	slotsAtWork, slotsHeld := s.slots()
	nobodyWorks := slotsAtWork == 0 && slotsHeld > 0
	if seen.cost <= 0 || nobodyWorks {
		return forecast{}
	}
	var total, longest remaining
	busy := make([]float64, max(slotsAtWork, 1)) // seconds until each slot is free
	for i := range s.Experiments {
		r := &s.Experiments[i]
		counts := r.Item.SameAs == "" && r.Item.TotalSteps > 0 && r.HeldUp().Passes()
		ends := Over(r.Status) || r.Status == StatusPaused
		if ends || !counts {
			continue
		}
		left := seen.left(r)
		total.seconds += left.seconds
		total.variance += left.variance
		if left.seconds > longest.seconds {
			longest = left
		}
		next := 0
		for slot := range busy {
			if busy[slot] < busy[next] {
				next = slot
			}
		}
		busy[next] += left.seconds
	}
	if total.seconds <= 0 {
		return forecast{}
	}
	slots := float64(len(busy))
	mean := slices.Max(busy)
	perfect := math.Max(total.seconds/slots, longest.seconds)
	spread := 2 * math.Max(math.Sqrt(total.variance)/slots, math.Sqrt(longest.variance))
	return forecast{mean: mean, low: math.Max(perfect-spread, 0), high: mean + spread}
}

// slots is how many slots train now, and how many are held up with the experiments that have them.
func (s *SweepResult) slots() (atWork, held int) {
	for i := range s.Experiments {
		r := &s.Experiments[i]
		switch {
		case r.Status != StatusRunning, r.Item.SameAs != "":
		case r.HeldUp().None():
			atWork++
		default:
			held++
		}
	}
	return atWork, held
}

// leastDeviation is the least relative standard deviation of a speed. It covers what is not known
// of an experiment that trains steadily: which host will take it when, after each preemption.
// With it, TestForecastCovers holds.
const leastDeviation = 0.12

// remaining is what an experiment will still take.
type remaining struct {
	seconds  float64
	variance float64 // of the seconds
}

// observed is what the sweep's own attempts have shown. Useful seconds are those of slots that
// trained, evaluated or saved; overhead is all that the start and the end of an attempt cost.
type observed struct {
	useful      float64            // seconds
	overhead    float64            // seconds
	cost        float64            // estimated hours of the steps that were kept
	attempts    float64            // that hosts have begun
	preemptions float64            // attempts that were ended by the loss of their host
	rate        float64            // preemptions per useful second
	perAttempt  float64            // overhead of one attempt, seconds
	ratios      []float64          // useful seconds per estimated hour, of each experiment
	own         map[string]float64 // the same by experiment
}

// observe goes through the accounts of what was trained in this sweep.
func (s *SweepResult) observe() observed {
	o := observed{own: map[string]float64{}}
	for i := range s.Experiments {
		r := &s.Experiments[i]
		if r.Reused || r.Item.TotalSteps == 0 || r.Item.SameAs != "" {
			continue
		}
		useful, overhead := split(r.Goodput)
		steps := r.KeptSteps           // the others took time that nobody knows here: of another sweep, or of a workflow that was terminated
		if r.Status == StatusRunning { // the process of the attempt says what it has done so far
			u, h := split(r.Progress.Goodput)
			useful += u
			overhead += h
			if r.Progress.Goodput[protocol.BucketTraining] > 0 { // else its progress is what the last attempt left: see Take
				steps += r.Progress.Step - r.Progress.RestoredFrom
			}
		}
		cost := r.Item.EstimatedHours * float64(max(0, steps)) / float64(r.Item.TotalSteps)
		if useful <= 0 || cost <= 0 {
			continue
		}
		o.useful += useful
		o.overhead += overhead
		o.cost += cost
		o.attempts += float64(r.Attempts)
		o.preemptions += float64(r.Preemptions)
		o.ratios = append(o.ratios, useful/cost)
		o.own[r.Item.ID] = useful / cost
	}
	if o.cost > 0 {
		o.rate = o.preemptions / o.useful
		o.perAttempt = o.overhead / math.Max(o.attempts, 1)
	}
	return o
}

// split divides an account into what a run costs and what its attempts cost on top.
func split(account protocol.Goodput) (useful, overhead float64) {
	for _, bucket := range protocol.Buckets {
		switch bucket {
		case protocol.BucketQueued:
		case protocol.BucketTraining, protocol.BucketEvaluating, protocol.BucketSaving:
			useful += account[bucket]
		default:
			overhead += account[bucket]
		}
	}
	return useful, overhead
}

// left is what an experiment will still take: at its own speed if that is known, else at that of the others.
func (o observed) left(r *ExperimentResult) remaining {
	speed, deviation := o.useful/o.cost, o.deviation()
	if own, known := o.own[r.Item.ID]; known {
		speed, deviation = own, leastDeviation
	}
	work := speed * r.Item.EstimatedHours * float64(r.Item.TotalSteps-r.Progress.Step) / float64(r.Item.TotalSteps)
	overhead := o.perAttempt * o.rate * work
	if r.Attempts == 0 {
		overhead += o.perAttempt
	}
	spread := work*deviation + overhead/2
	return remaining{seconds: work + overhead, variance: spread * spread}
}

// deviation is the relative standard deviation of the speed of an experiment that has not begun:
// how far the experiments so far lie apart, a third if that is unknown, and never less than leastDeviation.
func (o observed) deviation() float64 {
	n := float64(len(o.ratios))
	if n < 2 {
		return 1. / 3
	}
	mean := 0.0
	for _, r := range o.ratios {
		mean += r / n
	}
	squares := 0.0
	for _, r := range o.ratios {
		squares += (r - mean) * (r - mean)
	}
	return math.Max(math.Sqrt(squares/(n-1)*(1+1/n))/mean, leastDeviation)
}
