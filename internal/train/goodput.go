package train

import (
	"maps"
	"time"
)

// Buckets of the goodput ledger: every second of a training process is in
// exactly one of them. The caller above adds queued, lost and its own starting time.
const (
	BucketStarting   = "starting"   // process start, dataset, acquiring the run
	BucketCompiling  = "compiling"  // opening the backend, building graphs, compiling or loading them
	BucketRestoring  = "restoring"  // reading and loading a checkpoint
	BucketTraining   = "training"   // optimizer steps
	BucketSaving     = "saving"     // the loop waiting for a save
	BucketEvaluating = "evaluating" // test puzzles
)

// stopwatch attributes wall-clock time to one bucket at a time. Not safe for
// concurrent use: it belongs to the step loop.
type stopwatch struct {
	now     func() time.Time
	start   time.Time
	since   time.Time
	current string
	seconds map[string]float64
}

func newStopwatch(now func() time.Time, start time.Time, bucket string) *stopwatch {
	return &stopwatch{now: now, start: start, since: start, current: bucket, seconds: map[string]float64{}}
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
func (s *stopwatch) snapshot() map[string]float64 {
	s.switchTo(s.current)
	return maps.Clone(s.seconds)
}

// addBuckets is the sum of two ledgers.
func addBuckets(a, b map[string]float64) map[string]float64 {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]float64{}
	}
	for k, v := range b {
		out[k] += v
	}
	return out
}
