package workflows

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
	running := 0
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
		case StatusRunning:
			if r.Item.SameAs == "" {
				running++
			}
		case StatusDone:
			s.Done++
		case StatusFailed:
			s.Failed++
		}
	}
	s.Hosts = max(s.Hosts, running)
	f := s.forecast()
	s.ETASeconds, s.ETALow, s.ETAHigh = f.mean, f.low, f.high
}
