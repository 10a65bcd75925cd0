package study

import (
	"strings"

	"trmsweep/internal/protocol"
)

// Tally gives each experiment that shares a run the row of the experiment that trains it,
// and counts what is done, where the time went and how long the rest will take.
func (s *SweepResult) Tally() {
	byID := map[string]int{}
	for i, r := range s.Experiments {
		byID[r.Item.ID] = i
	}
	s.Done = 0
	s.Failed = 0
	s.Goodput = nil
	s.WallSeconds = 0
	hosts := map[string]bool{}
	for i := range s.Experiments {
		r := &s.Experiments[i]
		shared := r.Item.SameAs != ""
		if shared {
			if j, ok := byID[r.Item.SameAs]; ok {
				s.share(i, j)
			}
		} else {
			s.Goodput = added(s.Goodput, r.Goodput)
			s.WallSeconds += r.WallSeconds
		}
		switch r.Status {
		case StatusRunning:
			if !shared {
				host, _, _ := strings.Cut(r.Progress.Host, " ") // without its slot
				hosts[host] = true
			}
		case StatusDone:
			s.Done++
		case StatusFailed:
			s.Failed++
		}
	}
	s.Hosts = len(hosts)
	left := s.forecast()
	s.ETASeconds = left.mean
	s.ETALow = left.low
	s.ETAHigh = left.high
}

// share copies the row that trains a run to a row that shares it. The time of the slot is counted once.
func (s *SweepResult) share(to, from int) {
	item := s.Experiments[to].Item
	row := s.Experiments[from]
	row.Item = item
	row.Reused = true
	row.Goodput = nil
	row.WallSeconds = 0
	s.Experiments[to] = row
}

// added is the sum of two accounts of goodput. It goes through the buckets in a fixed order, as workflows must.
func added(sum, more protocol.Goodput) protocol.Goodput {
	if sum == nil {
		sum = protocol.Goodput{}
	}
	for _, bucket := range protocol.Buckets {
		if seconds, ok := more[bucket]; ok {
			sum[bucket] += seconds
		}
	}
	return sum
}
