package train

import (
	"sync"
	"time"

	"trmsweep/internal/protocol"
)

// troubles are what this process waits for now: operations on the store that fail, and a
// device that another process holds. Training may go on beside them, as long as nothing has to be saved.
type troubles struct {
	mu    sync.Mutex
	since map[string]protocol.Holdup // by what waits: an operation and its key, or the device
}

// begin notes that something waits, with the latest reason. It lasts until end.
func (t *troubles) begin(what string, h protocol.Holdup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since == nil {
		t.since = map[string]protocol.Holdup{}
	}
	if before, known := t.since[what]; known && before.Same(h) {
		h.Since = before.Since
	}
	t.since[what] = h
}

func (t *troubles) end(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.since, what)
}

// clear forgets everything, as after a save: what still fails says so again within seconds.
func (t *troubles) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.since)
}

// oldest is what has been waited for longest.
func (t *troubles) oldest() protocol.Holdup {
	t.mu.Lock()
	defer t.mu.Unlock()
	var first protocol.Holdup
	for _, h := range t.since {
		if first.None() || h.Since.Before(first.Since) {
			first = h
		}
	}
	return first
}

// storageWaits notes, or with a nil error forgets, an operation on the store that fails, and says so.
func (r *run) storageWaits(what string, err error, waited time.Duration) {
	gaveUp := waited >= r.o.Patience
	if err == nil || gaveUp {
		r.troubles.end(what)
	} else {
		r.troubles.begin(what, protocol.StorageHoldup(err, r.o.Owner.Host, r.o.Now().Add(-waited)))
	}
	r.sayHoldup()
}

// deviceWaits notes that another process holds the device, or with a nil error that none does any more.
func (r *run) deviceWaits(err error) {
	const device = "device"
	if err == nil {
		r.troubles.end(device)
	} else {
		r.troubles.begin(device, protocol.Holdup{
			Kind:   protocol.HoldupDeviceBusy,
			Since:  r.o.Now(),
			Where:  r.o.Owner.Host,
			Detail: err.Error(),
		})
	}
	r.sayHoldup()
}

func (r *run) sayHoldup() {
	r.events.progress(func(e *protocol.Event) { e.Holdup = r.troubles.oldest() })
}
