package train

import (
	"maps"
	"time"

	"trmsweep/internal/protocol"
)

// stopwatch attributes wall-clock time to one bucket at a time. Not safe for
// concurrent use: it belongs to the step loop.
type stopwatch struct {
	now     func() time.Time
	start   time.Time
	since   time.Time
	current string
	seconds protocol.Goodput
}

func newStopwatch(now func() time.Time, start time.Time, bucket string) *stopwatch {
	return &stopwatch{now: now, start: start, since: start, current: bucket, seconds: protocol.Goodput{}}
}

// switchTo closes the current bucket and opens another; it returns the old one's name.
func (s *stopwatch) switchTo(bucket string) string {
	t := s.now()
	s.seconds[s.current] += t.Sub(s.since).Seconds()
	old := s.current
	s.since, s.current = t, bucket
	return old
}

// snapshot is the seconds per bucket up to now.
func (s *stopwatch) snapshot() protocol.Goodput {
	s.switchTo(s.current)
	return maps.Clone(s.seconds)
}

// withPrior is the goodput up to now with that of the attempts before this one.
func (s *stopwatch) withPrior(prior protocol.Goodput) protocol.Goodput {
	sum := s.snapshot()
	sum.Add(prior)
	return sum
}
