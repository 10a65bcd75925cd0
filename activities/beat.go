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
// noticed soon. report sends details at once; stop ends it.
func beating(ctx context.Context) (report func(any), stop func()) {
	if !activity.IsActivity(ctx) {
		return func(any) {}, func() {}
	}
	var mu sync.Mutex
	var last any
	report = func(d any) {
		mu.Lock()
		defer mu.Unlock()
		last = d
		activity.RecordHeartbeat(ctx, d)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(beatEvery)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				mu.Lock()
				activity.RecordHeartbeat(ctx, last)
				mu.Unlock()
			}
		}
	})
	return report, func() {
		close(done)
		wg.Wait()
	}
}
