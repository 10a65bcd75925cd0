package gcs

import (
	"context"
	"fmt"
	"io"
	"time"
)

// watchdog cancels its context when it was not fed for a while.
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

// rest pauses the watch while the caller is busy with something else.
func (d *watchdog) rest() { d.timer.Stop() }

func (d *watchdog) stop() {
	d.timer.Stop()
	d.cancel(context.Canceled)
}

// fed feeds the dog at every read.
type fed struct {
	dog *watchdog
	r   io.Reader
}

func (f *fed) Read(p []byte) (int, error) {
	f.dog.feed()
	return f.r.Read(p)
}
