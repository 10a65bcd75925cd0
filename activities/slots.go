package activities

import "strconv"

// Slot is the part of a host that one training process has to itself.
type Slot struct {
	Name string   // of its chip, for people; empty: the whole host
	Env  []string // confines the process to it
}

// Slots are the free slots of a host: a process acquires one and releases it when it has ended. Nil: a host that is not divided.
type Slots chan Slot

// NewSlots divides a host into chips; env is the environment of a process on chip k.
func NewSlots(chips int, env func(chip int) []string) Slots {
	s := make(Slots, chips)
	for chip := range chips {
		s <- Slot{Name: "chip " + strconv.Itoa(chip), Env: env(chip)}
	}
	return s
}

// acquire waits for a free slot. ok is false if stop closes first.
func (s Slots) acquire(stop <-chan struct{}) (slot Slot, release func(), ok bool) {
	if s == nil {
		return Slot{}, func() {}, true
	}
	select {
	case slot = <-s:
		return slot, func() { s <- slot }, true
	case <-stop:
		return Slot{}, nil, false
	}
}

// on is the name of the host followed by that of the slot.
func (s Slot) on(host string) string {
	if s.Name == "" {
		return host
	}
	return host + " " + s.Name
}
