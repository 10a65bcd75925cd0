package activities

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
)

// beatEvery is how often activities say that they are still there, well within
// the workflows' heartbeat timeout of 30 s.
const beatEvery = 5 * time.Second

// beating heartbeats while an activity works, so that the death of its worker is
// noticed soon. The work is done under the returned context, which ends when the
// workflow cancels the activity or the server has given it up, and not when the
// server cannot be reached for a while. report says what the heartbeats are to tell;
// stop ends them.
func (a *Activities) beating(ctx context.Context) (work context.Context, report func(any), stop func()) {
	if !activity.IsActivity(ctx) {
		return ctx, func(any) {}, func() {}
	}
	every := a.HeartbeatEvery
	if every == 0 {
		every = beatEvery
	}
	work, cancel := context.WithCancelCause(ctx)
	var mu sync.Mutex
	var last any
	report = func(d any) {
		mu.Lock()
		defer mu.Unlock()
		last = d
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			mu.Lock()
			d := last
			mu.Unlock()
			if end := a.say(ctx, d); end != nil {
				cancel(end)
			}
		}
	})
	return work, report, func() {
		close(done)
		wg.Wait()
		cancel(nil)
	}
}
