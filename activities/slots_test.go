package activities

import (
	"slices"
	"sync"
	"testing"

	"trmsweep/internal/protocol"
)

// TestSlotsAreExclusive: as many processes as there are chips run at once, each on its own; one more waits for the first to end.
func TestSlotsAreExclusive(t *testing.T) {
	child := Child{Slots: NewSlots(4, func(chip int) []string { return []string{"CHIP=" + string(rune('0'+chip))} }), LogDir: t.TempDir()}
	var mu sync.Mutex
	running, most := map[int64]bool{}, 0
	var seen []int64
	begin := func(chip int64) {
		mu.Lock()
		defer mu.Unlock()
		if running[chip] {
			t.Errorf("chip %d is taken twice at once", chip)
		}
		running[chip] = true
		seen = append(seen, chip)
		most = max(most, len(running))
	}
	var all sync.WaitGroup
	arrived := make(chan struct{}, 12)
	release := make(chan struct{})
	for range 12 {
		all.Go(func() {
			slot, giveBack, ok := child.Slots.acquire(nil)
			if !ok {
				t.Error("no slot")
				return
			}
			defer giveBack()
			child := child
			child.Command = []string{"sh", "-c", `echo "{\"type\": \"progress\", \"step\": $CHIP}"`}
			var chip int64 = -1
			if _, err := child.run(make(chan struct{}), "r", nil, slot.Env, nil, func(e protocol.Event) { chip = e.Step }); err != nil {
				t.Error(err)
			}
			begin(chip)
			arrived <- struct{}{}
			<-release
			mu.Lock()
			delete(running, chip)
			mu.Unlock()
		})
	}
	for range 4 {
		<-arrived
	}
	close(release)
	all.Wait()
	slices.Sort(seen[:4])
	if most > 4 || !slices.Equal(seen[:4], []int64{0, 1, 2, 3}) {
		t.Errorf("%d at once, the first four on chips %v", most, seen[:4])
	}
}

// TestSlotsEndWithStop: who waits for a slot hears that it is to stop.
func TestSlotsEndWithStop(t *testing.T) {
	s := NewSlots(1, func(int) []string { return nil })
	slot, release, ok := s.acquire(nil)
	if !ok || slot.on("host-3") != "host-3 chip 0" || (Slot{}).on("host-3") != "host-3" {
		t.Errorf("%+v, %v", slot, ok)
	}
	stop := make(chan struct{})
	close(stop)
	if _, _, ok := s.acquire(stop); ok {
		t.Error("a slot that is taken was given")
	}
	release()
	if _, _, ok := s.acquire(nil); !ok {
		t.Error("the slot did not come back")
	}
	if _, _, ok := Slots(nil).acquire(nil); !ok {
		t.Error("a host that is not divided has no limit here")
	}
}
