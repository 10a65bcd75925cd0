package activities

import (
	"sync"
	"time"

	"trmsweep/internal/preempt"
)

// oomEvery is how often the kernel's count is looked at: a rise between one or
// two of these before a process's end and the end is taken to be that process.
const oomEvery = 10 * time.Second

// watchOOM follows the kernel's count of processes killed for lack of memory until
// ended closes. The returned function reports whether it has risen lately.
func watchOOM(ended <-chan struct{}) (lately func() bool) {
	var mu sync.Mutex
	before := preempt.OOMKills()
	last := before
	go func() {
		t := time.NewTicker(oomEvery)
		defer t.Stop()
		for {
			select {
			case <-ended:
				return
			case <-t.C:
			}
			mu.Lock()
			before, last = last, preempt.OOMKills()
			mu.Unlock()
		}
	}()
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return before >= 0 && preempt.OOMKills() > before
	}
}
