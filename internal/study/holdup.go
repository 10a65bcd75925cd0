package study

import (
	"fmt"
	"strings"

	"trmsweep/internal/protocol"
)

// HeldUp is what keeps the experiment from going on, as far as whoever has the row knows: the
// running attempt knows of its own hold-up, everybody else fills in Holdup. One that is over
// is not held up.
func (r *ExperimentResult) HeldUp() protocol.Holdup {
	switch {
	case Over(r.Status):
		return protocol.Holdup{}
	case !r.Holdup.None():
		return r.Holdup
	case r.Status == StatusRunning:
		return r.Progress.Holdup
	}
	return protocol.Holdup{}
}

// HeldUp is what keeps the whole sweep from going on: the hold-up of its first experiment that
// has one, while none trains.
func (s *SweepResult) HeldUp() protocol.Holdup {
	var first protocol.Holdup
	for i := range s.Experiments {
		r := &s.Experiments[i]
		held := r.HeldUp()
		if r.Status == StatusRunning && held.None() {
			return protocol.Holdup{}
		}
		if first.None() {
			first = held
		}
	}
	return first
}

// NoWorker says of everything that is not over that no worker listens: it neither trains nor waits for its turn.
func (s *SweepResult) NoWorker() {
	for i := range s.Experiments {
		r := &s.Experiments[i]
		held := r.HeldUp()
		goesOn := held.Passes() || r.Status == StatusRunning
		if goesOn && !Over(r.Status) && r.Status != StatusPaused {
			r.Holdup = protocol.Holdup{Kind: protocol.HoldupNoWorker}
		}
	}
	s.Tally()
}

// AwaitTurns says of every queued experiment of a sweep that trains, and of which nothing else is known, that it
// waits for its turn: for a slot, or until fewer than the sweep's parallelism train.
func (s *SweepResult) AwaitTurns() {
	for i := range s.Experiments {
		r := &s.Experiments[i]
		waits := r.Status == StatusQueued && r.HeldUp().None()
		if waits && s.Stage == StageTraining {
			r.Holdup = protocol.Holdup{Kind: protocol.HoldupNoSlot}
		}
	}
}

// StatusText is the status for people, with the kind of what holds the experiment up.
func (r *ExperimentResult) StatusText() string {
	held := r.HeldUp()
	switch {
	case held.None(), held.Kind == r.Status:
		return r.Status
	case held.Kind == protocol.HoldupActivityPaused:
		return StatusPaused + " (in the Web UI)"
	}
	return r.Status + " (" + held.Kind + ")"
}

// TimeLeft is how long a running attempt expects to take, for people. It is empty if that is unknown:
// one that is held up does not know.
func (r *ExperimentResult) TimeLeft() string {
	if r.Status != StatusRunning || !r.HeldUp().None() {
		return ""
	}
	return eta(r.Progress.ETASeconds)
}

// Holdups says in sentences what keeps experiments from going on: one for all that are held up by
// the same. That an experiment waits for its turn needs no sentence: its status says it. Commands name
// the sweep, by the workflow id of the sweep, of a phase of it or of the experiment; a phase takes none.
func Holdups(id string, rows []ExperimentResult) []string {
	type cause struct {
		held  protocol.Holdup // since the earliest
		names []string
		sweep string
	}
	var causes []*cause
	for i := range rows {
		r := &rows[i]
		held := r.HeldUp()
		if held.None() && r.Status == StatusPaused { // before its workflow began, which says so otherwise
			held.Kind = protocol.HoldupPaused
		}
		itsTurn := held.Kind == protocol.HoldupNoSlot && held.Detail == ""
		if held.None() || itsTurn || r.Item.SameAs != "" {
			continue
		}
		var c *cause
		for _, known := range causes {
			if known.held.Same(held) && known.held.Detail == held.Detail {
				c = known
			}
		}
		if c == nil {
			c = &cause{held: held, sweep: strings.TrimSuffix(id, "/"+r.Item.Phase)}
			causes = append(causes, c)
		}
		if held.Since.Before(c.held.Since) {
			c.held.Since = held.Since
		}
		c.names = append(c.names, r.Item.ID)
	}
	var lines []string
	for _, c := range causes {
		lines = append(lines, someOf(c.names)+": "+c.held.Sentence(c.sweep))
	}
	return lines
}

// someOf lists names, at most three of them.
func someOf(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
