package train

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/protocol"
)

// withReason is a bucket that refuses to take objects while it has a reason.
type withReason struct {
	blob.Bucket
	mu  sync.Mutex
	why error
}

func (b *withReason) refuse(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.why = why
}

func (b *withReason) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	b.mu.Lock()
	why := b.why
	b.mu.Unlock()
	if why != nil {
		return blob.Attr{}, why
	}
	return b.Bucket.Put(ctx, key, body, size, ifGen)
}

// A process says what it waits for, since when and where, in every line as long as it lasts and in none after.
func TestSaysWhatHoldsItUp(t *testing.T) {
	for name, c := range map[string]struct {
		why  error
		kind string
	}{
		"a full disk":       {fmt.Errorf("put x: no space left in /data: %w", blob.ErrFull), protocol.HoldupDiskFull},
		"a store that went": {fmt.Errorf("put x: connection refused: %w", blob.ErrTransient), protocol.HoldupStorageAway},
	} {
		t.Run(name, func(t *testing.T) {
			b := &withReason{Bucket: mem.New(nil)}
			var held []protocol.Holdup
			last := protocol.Event{}
			refused := false
			a := attempt(t, b, tiny(t), func(o *Options) {
				o.Patience = time.Hour
				o.Owner.Host = "here"
				o.Events = func(e protocol.Event) { // one at a time
					last = e
					if e.Step >= 4 && !refused {
						refused = true
						b.refuse(c.why)
					}
					if !e.Holdup.None() {
						held = append(held, e.Holdup)
					}
					if len(held) == 3 {
						b.refuse(nil)
					}
				}
			})
			if a.err != nil || len(held) < 3 || !last.Holdup.None() {
				t.Fatalf("%v; held up by %v; the last line says %+v", a.err, held, last)
			}
			for _, h := range held {
				wrong := h.Kind != c.kind || h.Where != "here" || h.Since.IsZero()
				if wrong || !strings.Contains(h.Detail, "put x") {
					t.Errorf("held up by %+v, want %s", h, c.kind)
				}
			}
		})
	}
}

// A device that another process holds is a hold-up until it is free.
func TestSaysThatTheDeviceIsBusy(t *testing.T) {
	var events []protocol.Event
	r := &run{o: Options{Now: time.Now}, events: newAnnouncer(func(e protocol.Event) { events = append(events, e) }, time.Now)}
	r.deviceWaits(fmt.Errorf("process 7 holds /dev/accel0"))
	r.deviceWaits(nil)
	if len(events) != 2 || events[0].Holdup.Kind != protocol.HoldupDeviceBusy || !events[1].Holdup.None() {
		t.Errorf("%+v", events)
	}
}
