package activities

import (
	"testing"
	"time"
)

// closed is a channel that says: do not wait.
func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// Attempts of the own queue do not wait for a poll of the shared one; a task that comes to it then is one too many.
func TestOwnQueueComesFirst(t *testing.T) {
	s := NewHostSlots(1)
	if !s.Poll(nil) || s.Poll(closed()) {
		t.Fatal("one slot lets one poll")
	}
	if !s.Take(nil, nil) {
		t.Fatal("the slot is polled for and nobody trains in it")
	}
	if s.Crowded() {
		t.Error("one attempt on one slot is no crowd")
	}
	s.Begin() // the poll brings a task
	if !s.Crowded() {
		t.Error("two attempts on one slot")
	}
	s.Release()
	if s.Crowded() || s.Poll(closed()) {
		t.Error("the attempt that stays has the slot")
	}
	s.Release()
	if !s.Poll(closed()) {
		t.Error("the slot did not come back")
	}
	s.EndPoll()
	if !s.Poll(closed()) {
		t.Error("the slot did not come back after a poll without a task")
	}
}

// While an attempt of the own queue waits, nobody polls the shared one: the slot that becomes free is the attempt's.
func TestOwnQueueWaits(t *testing.T) {
	s := NewHostSlots(1)
	if !s.Poll(nil) {
		t.Fatal("no slot")
	}
	s.Begin()
	if s.Take(nil, closed()) || s.Take(closed(), nil) {
		t.Fatal("a slot that is taken was given")
	}
	got := make(chan bool)
	go func() { got <- s.Take(nil, nil) }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		waits := s.waiting == 1
		s.mu.Unlock()
		if waits {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not wait")
		}
	}
	s.Release()
	if !<-got || s.Poll(closed()) || s.Crowded() {
		t.Error("the slot went elsewhere")
	}
	if none := (*HostSlots)(nil); !none.Take(nil, nil) || none.Crowded() {
		t.Error("a worker without a limit")
	}
}
