package workflows

import (
	"math"

	"go.temporal.io/sdk/workflow"
)

// forecast is the seconds that a sweep will still take, with a 95% interval; zeros
// where nothing is known yet or nothing is left.
type forecast struct{ mean, low, high float64 }

// history is what the sweep's own attempts have shown.
type history struct {
	useful      float64         // seconds of slots that were not lost to preemptions
	overhead    float64         // seconds of starting, compiling, restoring and of lost work
	cost        float64         // estimated hours of the steps that were kept
	preemptions float64         // attempts that ended before their run did
	ratios      []float64       // useful seconds per estimated hour, of each experiment
	own         map[int]float64 // the same by row
}

// learn goes through the books of what was trained in this sweep.
func (s *SweepResult) learn() history {
	h := history{own: map[int]float64{}}
	for i := range s.Experiments {
		r := &s.Experiments[i]
		if r.Reused || r.Item.TotalSteps == 0 || r.Item.SameAs != "" {
			continue
		}
		useful, overhead := split(r.Goodput)
		if r.Status == StatusRunning { // the attempt's process says what it has done so far
			u, o := split(r.Progress.Goodput)
			useful, overhead = useful+u, overhead+o
		}
		cost := r.Item.EstimatedHours * float64(max(0, r.Progress.Step-r.StartStep)) / float64(r.Item.TotalSteps)
		if useful <= 0 || cost <= 0 {
			continue
		}
		h.useful, h.overhead, h.cost = h.useful+useful, h.overhead+overhead, h.cost+cost
		h.preemptions += float64(r.Attempts - 1)
		h.ratios, h.own[i] = append(h.ratios, useful/cost), useful/cost
	}
	return h
}

// split divides a ledger into what every run costs and what its attempts cost on top.
func split(ledger map[string]float64) (useful, overhead float64) {
	for _, k := range workflow.DeterministicKeys(ledger) {
		switch k {
		case "queued":
		case "training", "evaluating", "saving":
			useful += ledger[k]
		default:
			overhead += ledger[k]
		}
	}
	return useful, overhead
}

// unsure is the relative standard deviation of the speed of an experiment that has
// not begun: how far the experiments so far lie apart, a third where that is unknown,
// and never less than a twentieth.
func (h history) unsure() float64 {
	n := float64(len(h.ratios))
	if n < 2 {
		return 1. / 3
	}
	mean, sum := 0.0, 0.0
	for _, r := range h.ratios {
		mean += r / n
	}
	for _, r := range h.ratios {
		sum += (r - mean) * (r - mean)
	}
	return math.Max(math.Sqrt(sum/(n-1)*(1+1/n))/mean, 0.05)
}

// speed is the expected useful seconds per estimated hour of a row and their relative
// standard deviation: its own where much of it is done, else those of the others.
func (h history) speed(row int, share float64) (mean, deviation float64) {
	mean, deviation = h.useful/h.cost, h.unsure()
	own, known := h.own[row]
	if !known {
		return mean, deviation
	}
	w := share / (share + 0.03)
	return w*own + (1-w)*mean, (1-w)*deviation + 0.02
}

// forecast extrapolates the sweep: every experiment goes on at the speed seen, and
// preemptions come as often and cost as much as they did. What is left is packed onto
// as many hosts as were seen at work together; the interval spans packings from perfect to greedy, and
// two standard deviations of speed and preemptions (a Poisson count, whose rate is known
// from the preemptions so far, and a cost that varies by its own size).
func (s *SweepResult) forecast() forecast {
	h := s.learn()
	if h.cost <= 0 {
		return forecast{}
	}
	rate, each := h.preemptions/h.useful, h.overhead/math.Max(h.preemptions+float64(len(h.ratios)), 1)
	total, longest, variance, longestVariance, open := 0.0, 0.0, 0.0, 0.0, 0
	for i := range s.Experiments {
		r := &s.Experiments[i]
		if over(r.Status) || r.Item.SameAs != "" || r.Item.TotalSteps == 0 {
			continue
		}
		open++
		share := float64(r.Progress.Step) / float64(r.Item.TotalSteps)
		speed, doubt := h.speed(i, share)
		work := speed * r.Item.EstimatedHours * (1 - share)
		again := rate * work // preemptions to come
		left := work + each*again
		if r.Attempts == 0 {
			left += each
		}
		v := work*work*doubt*doubt + 2*each*each*again
		total, variance = total+left, variance+v
		if left > longest {
			longest, longestVariance = left, v
		}
	}
	if total <= 0 {
		return forecast{}
	}
	// The rate of preemptions itself is only known from those that were seen.
	drift := each * rate * total / math.Sqrt(math.Max(h.preemptions, 1))
	n := float64(max(min(s.Hosts, open), 1))
	spread := 2 * math.Max(math.Sqrt(variance+drift*drift)/n, math.Sqrt(longestVariance))
	packed, greedy := math.Max(total/n, longest), total/n+longest*(1-1/n)
	return forecast{mean: packed, low: math.Max(packed-spread, 0), high: greedy + spread}
}
