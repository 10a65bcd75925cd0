package activities

import "sync"

// HostSlots are the slots of a worker, of which training attempts from two task queues share one limit: from the queue
// of all hosts, and from the worker's own.
//
// Who polls the shared queue needs a slot that may become taken (Poll), and knows only afterwards that a task has come
// (Begin). A poll lasts up to a minute. An attempt from the own queue does not wait for that: it takes a slot that nobody
// trains in (Take). If a task comes to the poll nevertheless, there is one too many, and it goes back to the shared
// queue (Crowded). An attempt from the own queue has waited for this host and never goes back.
type HostSlots struct {
	mu      sync.Mutex
	changed chan struct{} // closed and made anew at every change
	size    int
	polls   int // of the shared queue, without a task yet
	taken   int // by attempts of either queue
	waiting int // attempts of the own queue
}

// NewHostSlots are n slots.
func NewHostSlots(n int) *HostSlots { return &HostSlots{size: n, changed: make(chan struct{})} }

// Size is the number of slots.
func (s *HostSlots) Size() int { return s.size }

// update changes the counts if it may, and wakes whoever waits. ok is false if it may not; changed closes when that may be different.
func (s *HostSlots) update(may func() bool, change func()) (ok bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !may() {
		return false, s.changed
	}
	change()
	close(s.changed)
	s.changed = make(chan struct{})
	return true, nil
}

func always() bool { return true }

// Poll waits for a slot for one poll of the shared queue. It is false if stop closes first.
func (s *HostSlots) Poll(stop <-chan struct{}) bool {
	for {
		ok, changed := s.TryPoll()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-stop:
			return false
		}
	}
}

// TryPoll is Poll without waiting.
func (s *HostSlots) TryPoll() (ok bool, changed <-chan struct{}) {
	return s.update(func() bool { return s.polls+s.taken+s.waiting < s.size }, func() { s.polls++ })
}

// Begin turns a poll that has brought a task into a slot that is taken.
func (s *HostSlots) Begin() {
	s.update(always, func() {
		s.polls--
		s.taken++
	})
}

// EndPoll gives the slot of a poll back that has brought nothing.
func (s *HostSlots) EndPoll() { s.update(always, func() { s.polls-- }) }

// Release gives a taken slot back.
func (s *HostSlots) Release() { s.update(always, func() { s.taken-- }) }

// Crowded says whether more slots are taken than there are. Nil: never.
func (s *HostSlots) Crowded() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken > s.size
}

// Take waits for a slot for an attempt of the own queue. It is false if stop or limit comes first. Nil: a worker without a limit.
func (s *HostSlots) Take(stop <-chan struct{}, limit <-chan struct{}) bool {
	if s == nil {
		return true
	}
	s.update(always, func() { s.waiting++ })
	for {
		ok, changed := s.update(func() bool { return s.taken < s.size }, func() {
			s.waiting--
			s.taken++
		})
		if ok {
			return true
		}
		select {
		case <-changed:
			continue
		case <-stop:
		case <-limit:
		}
		s.update(always, func() { s.waiting-- })
		return false
	}
}
