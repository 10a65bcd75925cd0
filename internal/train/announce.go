package train

import (
	"context"
	"sync"
	"time"

	"trmsweep/internal/protocol"
)

// announcer keeps the latest progress and repeats it every period, so that the
// parent hears from a process that is compiling or in a long evaluation.
type announcer struct {
	mu   sync.Mutex
	send func(protocol.Event)
	last protocol.Event
	sent time.Time
	now  func() time.Time
}

const announcePeriod = time.Second

func newAnnouncer(send func(protocol.Event), now func() time.Time) *announcer {
	return &announcer{send: send, now: now, last: protocol.Event{Type: protocol.EventProgress, State: protocol.StateStarting}}
}

// progress changes the latest progress and sends it if the last one is a period old or the state or what holds the process up changed.
func (a *announcer) progress(change func(*protocol.Event)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.last
	change(&a.last)
	changed := a.last.State != before.State || !a.last.Holdup.Same(before.Holdup)
	if changed || a.now().Sub(a.sent) >= announcePeriod {
		a.flush()
	}
}

// event sends e, with the latest step and totals filled in, at once.
func (a *announcer) event(e protocol.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Step == 0 {
		e.Step = a.last.Step
	}
	e.Total, e.CommittedStep = a.last.Total, a.last.CommittedStep
	e.BestExactAccuracy, e.BestPuzzles = a.last.BestExactAccuracy, a.last.BestPuzzles
	e.Holdup = a.last.Holdup
	a.send(e)
}

// close ends all sending: what comes after a run's end is not part of it.
func (a *announcer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.send = func(protocol.Event) {}
}

func (a *announcer) flush() {
	a.sent = a.now()
	a.send(a.last)
}

// run repeats the latest progress until ctx ends.
func (a *announcer) run(ctx context.Context) {
	t := time.NewTicker(announcePeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			a.mu.Lock()
			if a.now().Sub(a.sent) >= announcePeriod {
				a.flush()
			}
			a.mu.Unlock()
		}
	}
}
