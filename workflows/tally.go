package workflows

import "go.temporal.io/sdk/workflow"

// over says whether nothing more will happen to an experiment by itself.
func over(status string) bool {
	switch status {
	case StatusDone, StatusFailed, StatusSkipped, StatusStopped:
		return true
	}
	return false
}

// Tally gives shared runs the row of the experiment that trains for them, and
// adds up what is done, the books and the time left.
func (s *SweepResult) Tally() {
	index := map[string]int{}
	for i, r := range s.Experiments {
		index[r.Item.ID] = i
	}
	s.Done, s.Failed, s.Goodput, s.WallSeconds = 0, 0, nil, 0
	for i := range s.Experiments {
		r := &s.Experiments[i]
		if it := r.Item; it.SameAs == "" {
			s.Goodput = addLedgers(s.Goodput, r.Goodput)
			s.WallSeconds += r.WallSeconds
		} else if j, ok := index[it.SameAs]; ok {
			*r = s.Experiments[j]
			r.Item, r.Reused, r.Goodput, r.WallSeconds = it, true, nil, 0
		}
		switch r.Status {
		case StatusDone:
			s.Done++
		case StatusFailed:
			s.Failed++
		}
	}
	s.ETASeconds = s.eta()
}

// eta is the seconds that are left, judged by what this sweep's steps have cost
// so far in proportion to their estimates; 0 where nothing is known or left.
func (s *SweepResult) eta() float64 {
	worked, cost := 0.0, 0.0 // seconds of slots, and the estimated hours they were spent on
	for i := range s.Experiments {
		r := &s.Experiments[i]
		if r.Reused || r.Item.TotalSteps == 0 {
			continue
		}
		worked += r.WallSeconds - r.Goodput["queued"]
		if !over(r.Status) {
			for _, k := range workflow.DeterministicKeys(r.Progress.Goodput) {
				worked += r.Progress.Goodput[k]
			}
		}
		cost += r.Item.EstimatedHours * float64(max(0, r.Progress.Step-r.StartStep)) / float64(r.Item.TotalSteps)
	}
	if worked <= 0 || cost <= 0 {
		return 0
	}
	left, longest, running := 0.0, 0.0, 0
	for i := range s.Experiments {
		r := &s.Experiments[i]
		if over(r.Status) || r.Item.SameAs != "" || r.Item.TotalSteps == 0 {
			continue
		}
		if r.Status == StatusRunning {
			running++
		}
		sec := worked / cost * r.Item.EstimatedHours * (1 - float64(r.Progress.Step)/float64(r.Item.TotalSteps))
		left, longest = left+sec, max(longest, sec)
	}
	return max(left/float64(max(running, 1)), longest)
}
