package gcs

import (
	"context"
	"fmt"
	"io"
	"time"
)

// watchdog cancels its context if feed was not called for a while.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

func newWatchdog(ctx context.Context, stall time.Duration) *watchdog {
	cctx, cancel := context.WithCancelCause(ctx)
	return &watchdog{cctx, cancel, time.AfterFunc(stall, func() {
		cancel(fmt.Errorf("no progress for %s: %w", stall, context.DeadlineExceeded))
	}), stall}
}

func (d *watchdog) feed() { d.timer.Reset(d.stall) }

// rest stops the timer until the next feed, while the caller does something else.
func (d *watchdog) rest() { d.timer.Stop() }

func (d *watchdog) stop() {
	d.timer.Stop()
	d.cancel(context.Canceled)
}

// fed is a reader that feeds the watchdog at every read.
type fed struct {
	dog *watchdog
	r   io.Reader
}

func (f *fed) Read(p []byte) (int, error) {
	f.dog.feed()
	return f.r.Read(p)
}
