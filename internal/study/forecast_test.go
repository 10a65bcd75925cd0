package study_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
)

// playback is a sweep on a few hosts that are preempted again and again: what became of every
// attempt, in seconds since the start.
type playback struct {
	items    []study.Item
	attempts []attempt
	end      float64
}

type attempt struct {
	item       int
	asked      float64 // for a slot
	start, end float64
	from       int64 // step
	speed      float64
	done       bool
	dies       float64 // seconds of work; the rest of the attempt is its discovery or the last save
	saved      bool
}

const startSeconds = 80.0 // starting, compiling and restoring

// play gives every experiment to the host that is free first, until all are trained. Half of
// the preemptions come with a notice, after which everything is saved; otherwise a checkpoint
// of every 100 seconds is.
func play(seed uint64, hosts int, between time.Duration) playback {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := playback{}
	type waiting struct {
		item  int
		since float64
	}
	var queue []waiting
	steps := []int64{}
	speeds := []float64{}
	for i := range 17 {
		it := study.Item{ID: fmt.Sprint("e", i), Run: fmt.Sprint(i), TotalSteps: 48828, EstimatedHours: 1 + 4*rng.Float64()}
		p.items = append(p.items, it)
		queue = append(queue, waiting{i, 0})
		steps = append(steps, 0)
		speeds = append(speeds, float64(it.TotalSteps)/(it.EstimatedHours*3600)*(0.9+0.2*rng.Float64()))
	}
	free := make([]float64, hosts)
	for len(queue) > 0 {
		slices.SortStableFunc(queue, func(a, b waiting) int { return int(math.Copysign(1, a.since-b.since)) })
		w := queue[0]
		queue = queue[1:]
		host := 0
		for i := range free {
			if free[i] < free[host] {
				host = i
			}
		}
		a := attempt{item: w.item, asked: w.since, start: max(w.since, free[host]), from: steps[w.item], speed: speeds[w.item]}
		need := float64(p.items[w.item].TotalSteps-a.from) / a.speed
		dies := rng.ExpFloat64() * between.Seconds()
		a.saved = rng.IntN(2) == 0
		a.done = dies >= startSeconds+need
		a.dies = max(min(dies-startSeconds, need), 0)
		a.end = a.start + startSeconds + a.dies
		switch {
		case a.done:
		case a.saved:
			a.end += 5
			steps[w.item] = a.step(a.end)
		default:
			a.end = a.start + dies + 15
			steps[w.item] += int64(math.Floor(a.dies/100) * 100 * a.speed)
		}
		free[host] = a.end
		p.end = max(p.end, a.end)
		p.attempts = append(p.attempts, a)
		if !a.done {
			queue = append(queue, waiting{w.item, a.end})
		}
	}
	return p
}

// step is the step that the attempt has reached.
func (a attempt) step(now float64) int64 {
	return a.from + int64(min(max(now-a.start-startSeconds, 0), a.dies)*a.speed)
}

// progress is what the attempt says of itself.
func (a attempt) progress(epoch time.Time, total int64, now float64) study.Progress {
	worked := min(max(now-a.start-startSeconds, 0), a.dies)
	p := study.Progress{
		Step:          a.step(now),
		Total:         total,
		RestoredFrom:  a.from,
		CommittedStep: a.from,
		StartedAt:     epoch.Add(seconds(a.start)),
		Goodput:       protocol.Goodput{protocol.BucketStarting: min(now-a.start, startSeconds), protocol.BucketTraining: worked},
	}
	if now < a.end {
		return p
	}
	switch {
	case a.done:
		p.Step = total
		p.CommittedStep = total
	case a.saved:
		p.CommittedStep = p.Step
		p.Goodput[protocol.BucketSaving] = 5
	default:
		p.CommittedStep = a.from + int64(math.Floor(a.dies/100)*100*a.speed)
	}
	return p
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// at is what the sweep shows at a time: attempts that have ended are accounted, those that run say where they are.
func (p playback) at(now float64) study.SweepResult {
	epoch := time.Unix(1, 0)
	var s study.SweepResult
	for _, it := range p.items {
		s.Experiments = append(s.Experiments, study.ExperimentResult{Item: it, Status: study.StatusQueued})
	}
	for _, a := range p.attempts {
		r := &s.Experiments[a.item]
		if a.start > now {
			continue
		}
		r.Attempts++
		r.Progress = a.progress(epoch, r.Item.TotalSteps, now)
		if a.end > now {
			r.Status = study.StatusRunning
			continue
		}
		r.Account(r.Progress, epoch.Add(seconds(a.asked)), epoch.Add(seconds(a.end)), a.done)
		r.CommittedStep = r.Progress.CommittedStep
		r.Status = study.StatusQueued
		if a.done {
			r.Status = study.StatusDone
		} else {
			r.Preemptions++
		}
	}
	s.Tally()
	return s
}

// The forecast's 95% interval covers what happens, from the first half hour on, whether hosts
// come and go every half hour or every few hours. It is narrow enough to be of use.
func TestForecastCovers(t *testing.T) {
	const hosts = 8
	made, covered := 0, 0
	var widths []float64
	for _, between := range []time.Duration{30 * time.Minute, time.Hour, 5 * time.Hour} {
		for seed := range uint64(20) {
			p := play(seed, hosts, between)
			for now := 1800.0; now < p.end-60; now += 1800 {
				s := p.at(now)
				left := p.end - now
				made++
				if s.ETALow <= left && left <= s.ETAHigh {
					covered++
				}
				widths = append(widths, (s.ETAHigh-s.ETALow)/left)
			}
		}
	}
	slices.Sort(widths)
	median := widths[len(widths)/2]
	if share := float64(covered) / float64(made); share < 0.95 || made < 500 {
		t.Errorf("%d of %d forecasts covered the end", covered, made)
	}
	if median > 0.6 {
		t.Errorf("half of the intervals are wider than %.2f times the time left", median)
	}
	t.Logf("%d of %d forecasts covered the end; median width %.2f of the time left", covered, made, median)
}

// A forecast counts the slots that work now, and leaves out what waits for somebody.
func TestForecastOfWhatIsHeldUp(t *testing.T) {
	row := func(id, status string, held string) study.ExperimentResult {
		r := study.ExperimentResult{Item: study.Item{ID: id, EstimatedHours: 1, TotalSteps: 100}, Status: status}
		r.Holdup.Kind = held
		if status == study.StatusRunning {
			r.Attempts = 1
			r.Progress = study.Progress{Step: 50, Host: "host-" + id, Goodput: protocol.Goodput{protocol.BucketTraining: 50}}
		}
		return r
	}
	const running, queued, paused = study.StatusRunning, study.StatusQueued, study.StatusPaused
	pausedBefore := row("b", queued, protocol.HoldupNoSlot)
	pausedBefore.Attempts = 1
	for name, c := range map[string]struct {
		rows  []study.ExperimentResult
		want  float64 // seconds
		hosts int
	}{
		"two hosts":             {[]study.ExperimentResult{row("a", running, ""), row("b", running, "")}, 50, 2},
		"one of them died":      {[]study.ExperimentResult{row("a", running, ""), row("b", queued, protocol.HoldupNoSlot)}, 150, 1},
		"a full disk":           {[]study.ExperimentResult{row("a", running, ""), row("b", running, protocol.HoldupDiskFull)}, 50, 2},
		"a pause":               {[]study.ExperimentResult{row("a", running, ""), row("b", paused, protocol.HoldupPaused)}, 50, 1},
		"all wait for somebody": {[]study.ExperimentResult{row("a", running, protocol.HoldupStorageAway)}, 0, 1},
		"the only host is held up": {
			[]study.ExperimentResult{row("a", running, protocol.HoldupStorageAway), row("b", queued, protocol.HoldupNoSlot)}, 0, 1,
		},
		"one waits for another":   {[]study.ExperimentResult{row("a", running, ""), row("b", queued, protocol.HoldupOtherRun)}, 150, 1},
		"attempts, no preemption": {[]study.ExperimentResult{row("a", running, ""), pausedBefore}, 150, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := study.SweepResult{Experiments: c.rows}
			s.Tally()
			if s.ETASeconds != c.want || s.Hosts != c.hosts {
				t.Errorf("%g s on %d hosts, want %g on %d", s.ETASeconds, s.Hosts, c.want, c.hosts)
			}
		})
	}
}

// The speed of a row is that of the steps whose time is known: a run goes on from what others have trained too.
func TestForecastCountsStepsWhoseTimeIsKnown(t *testing.T) {
	const perStep = 2.0 // seconds
	trained := func(from, to int64) study.Progress {
		took := protocol.Goodput{protocol.BucketTraining: perStep * float64(to-from)}
		return study.Progress{Step: to, CommittedStep: to, RestoredFrom: from, StartedAt: time.Unix(1, 0), Goodput: took}
	}
	restoring := study.Progress{StartedAt: time.Unix(1, 0), Goodput: protocol.Goodput{protocol.BucketRestoring: 1}}
	for name, c := range map[string]struct {
		saved int64            // by others: another sweep, or a workflow that was terminated
		ended []study.Progress // attempts of the row's own
		runs  study.Progress
		want  float64 // seconds
	}{
		"alone":                                  {0, nil, trained(0, 60), 40 * perStep},
		"after another's steps":                  {50, nil, trained(50, 60), 40 * perStep},
		"after another's steps and one's own":    {50, []study.Progress{trained(50, 60)}, trained(60, 70), 30 * perStep},
		"another's steps between one's own":      {0, []study.Progress{trained(0, 10)}, trained(50, 60), 40 * perStep},
		"the next attempt has not restored them": {0, []study.Progress{trained(0, 10)}, restoring, 90 * perStep},
	} {
		t.Run(name, func(t *testing.T) {
			r := study.ExperimentResult{Item: study.Item{ID: "a", EstimatedHours: 1, TotalSteps: 100}, Attempts: 1}
			r.Saved(c.saved)
			for _, p := range c.ended {
				r.Take(p)
				r.Account(p, p.StartedAt, p.StartedAt.Add(time.Duration(p.Goodput.Total()*float64(time.Second))), false)
			}
			r.Status = study.StatusRunning
			r.Take(c.runs)
			s := study.SweepResult{Experiments: []study.ExperimentResult{r}}
			s.Tally()
			if math.Abs(s.ETASeconds-c.want) > 1e-6 {
				t.Errorf("%g s, want %g", s.ETASeconds, c.want)
			}
		})
	}
}

// Preemptions make the rest longer; attempts that ended by a command do not.
func TestForecastCountsPreemptions(t *testing.T) {
	left := func(attempts, preemptions int) float64 {
		s := study.SweepResult{Experiments: []study.ExperimentResult{{
			Item:        study.Item{ID: "a", EstimatedHours: 1, TotalSteps: 100},
			Status:      study.StatusRunning,
			Attempts:    attempts,
			Preemptions: preemptions,
			Progress: study.Progress{
				Step:    50,
				Goodput: protocol.Goodput{protocol.BucketTraining: 50, protocol.BucketStarting: 10},
			},
		}}}
		s.Tally()
		return s.ETASeconds
	}
	if once, paused, preempted := left(1, 0), left(11, 0), left(11, 10); once != paused || preempted <= once {
		t.Errorf("%g s after one attempt, %g s after ten pauses, %g s after ten preemptions", once, paused, preempted)
	}
}
