package chaos

import (
	"syscall"
	"testing"
	"time"
)

// The default seed of the short version meets every kind of process, by every kind of signal.
func TestDiceAreSeededAndCoverAll(t *testing.T) {
	o := Options{GapLeast: time.Second, GapMost: 3 * time.Second}
	a, b := newDice(*seed), newDice(*seed)
	targets, signals := map[string]bool{}, map[syscall.Signal]bool{}
	for range 5 {
		s := a.next(o)
		if s != b.next(o) {
			t.Fatal("two dice of one seed differ")
		}
		if s.after < o.GapLeast || s.after > o.GapMost || s.pause <= 0 {
			t.Errorf("%+v", s)
		}
		targets[s.target], signals[s.signal] = true, true
	}
	all := len(targets) == 3 && len(signals) == 3
	if *seed == 174 && !all {
		t.Errorf("targets %v, signals %v", targets, signals)
	}
}

func TestFurther(t *testing.T) {
	for _, c := range []struct {
		name        string
		before, now []int64
		want        bool
	}{
		{"no answer", []int64{1, 1}, nil, false},
		{"never seen before", nil, []int64{0, 0}, true},
		{"both", []int64{1, 1}, []int64{2, 3}, true},
		{"one", []int64{1, 1}, []int64{2, 1}, false},
		{"one finished", []int64{1, 1}, []int64{2, -1}, true},
		{"all finished", []int64{-1, -1}, []int64{-1, -1}, true},
		{"two of three", []int64{1, 1, 0}, []int64{2, 2, 0}, true},
		{"one of three", []int64{1, 1, 0}, []int64{2, 1, 0}, false},
		{"the last one", []int64{-1, -1, 5}, []int64{-1, -1, 6}, true},
	} {
		if got := further(c.before, c.now, 2); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
