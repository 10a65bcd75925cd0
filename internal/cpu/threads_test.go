package cpu_test

import (
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gomlx/gomlx/backends"
)

// within fails the test when f does not end: a deadlock is an error of this test, not of the whole run.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit):
		buf := make([]byte, 1<<16)
		t.Fatalf("still at work after %v:\n%s", limit, buf[:runtime.Stack(buf, true)])
	}
}

// TestOneProcessor runs more threads than there are processors.
func TestOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := networks[2]
	want := c.run(backend(t, "cpu:threads=1"))
	four := backend(t, "cpu:threads=4")
	within(t, 2*time.Minute, func() {
		if got := c.run(four); !reflect.DeepEqual(got, want) {
			t.Error("four threads on one processor give other bits than one thread")
		}
	})
}

// TestSharedHost runs several trainers at once: two on one backend, whose pool serves one at a time, and one beside them.
func TestSharedHost(t *testing.T) {
	shared, own := backend(t, "cpu:threads=3"), backend(t, "cpu:threads=2")
	runs := []struct {
		b backends.Backend
		c network
	}{{shared, networks[2]}, {shared, networks[7]}, {own, networks[9]}}
	one := backend(t, "cpu:threads=1")
	within(t, 2*time.Minute, func() {
		var all sync.WaitGroup
		for i, r := range runs {
			all.Go(func() {
				want := r.c.run(one)
				for range 5 {
					if got := r.c.run(r.b); !reflect.DeepEqual(got, want) {
						t.Errorf("trainer %d gets other bits beside others than alone", i)
					}
				}
			})
		}
		all.Wait()
	})
}
