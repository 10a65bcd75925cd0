package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"trmsweep/internal/tensor"
)

// SaveResult is the outcome of one background save.
type SaveResult struct {
	Step    int64
	State   tensor.State // the snapshot's, of no more use to the Saver
	Commit  Commit       // valid if Err is nil
	Cleaned Cleaned
	Err     error         // ErrFenced, blob.ErrTransient (patience used up), ...
	Stall   time.Duration // what the step loop waited, for the copy of the state
	Took    time.Duration // of the save beside it
}

// cleanEvery is the number of saves between two looks for orphans.
const cleanEvery = 50

// Saver saves beside training. At most one save is in flight, so at most one
// copy of the state exists however long the storage is away. Start, Poll and
// Wait belong to the step loop's goroutine; Busy may be called from anywhere.
type Saver struct {
	ctx   context.Context
	w     *Writer
	saves int

	mu      sync.Mutex
	done    chan struct{} // nil: idle
	results []SaveResult
}

// NewSaver makes a Saver; ctx ends its saves.
func NewSaver(ctx context.Context, w *Writer) *Saver { return &Saver{ctx: ctx, w: w} }

// Start calls snapshot and saves what it returns in the background. While another
// save is in flight it returns false without calling snapshot.
func (s *Saver) Start(snapshot func() (Snapshot, error)) (bool, error) {
	if s.Busy() {
		return false, nil
	}
	begin := time.Now()
	snap, err := snapshot()
	if err != nil {
		return false, fmt.Errorf("copy the state: %w", err)
	}
	done := make(chan struct{})
	s.mu.Lock()
	s.done = done
	s.mu.Unlock()
	s.saves++
	clean := s.saves%cleanEvery == 1
	go s.run(snap, clean, time.Since(begin), done)
	return true, nil
}

func (s *Saver) run(snap Snapshot, clean bool, stall time.Duration, done chan struct{}) {
	begin := time.Now()
	r := SaveResult{Step: snap.Step, State: snap.State, Stall: stall}
	r.Commit, r.Err = s.w.Save(s.ctx, snap)
	r.Took = time.Since(begin)
	if r.Err == nil && clean {
		var err error
		if r.Cleaned, err = s.w.Clean(s.ctx); errors.Is(err, ErrFenced) {
			r.Err = err
		} else if err != nil {
			s.w.log.Warn("clean up after saving", "error", err)
		}
	}
	s.mu.Lock()
	s.results = append(s.results, r)
	s.done = nil
	s.mu.Unlock()
	close(done)
}

// Busy reports whether a save is in flight.
func (s *Saver) Busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done != nil
}

// Poll returns the next finished save that was not reported yet.
func (s *Saver) Poll() (SaveResult, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.results) == 0 {
		return SaveResult{}, false
	}
	r := s.results[0]
	s.results = s.results[1:]
	return r, true
}

// Wait blocks until no save is in flight or ctx ends. Poll has the result.
func (s *Saver) Wait(ctx context.Context) error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
