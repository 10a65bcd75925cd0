package worker

import (
	"context"
	"sync"

	"go.temporal.io/sdk/worker"

	"trmsweep/activities"
)

// sharedSlots hands the slots of a host to the worker that polls the queue of all hosts.
type sharedSlots struct {
	slots *activities.HostSlots
	mu    sync.Mutex
	taken map[*worker.SlotPermit]bool // those with a task
}

var _ worker.SlotSupplier = (*sharedSlots)(nil)

func newSharedSlots(s *activities.HostSlots) *sharedSlots {
	return &sharedSlots{slots: s, taken: map[*worker.SlotPermit]bool{}}
}

// ReserveSlot implements worker.SlotSupplier.
func (s *sharedSlots) ReserveSlot(ctx context.Context, _ worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	if !s.slots.Poll(ctx.Done()) {
		return nil, ctx.Err()
	}
	return &worker.SlotPermit{}, nil
}

// TryReserveSlot implements worker.SlotSupplier.
func (s *sharedSlots) TryReserveSlot(worker.SlotReservationInfo) *worker.SlotPermit {
	if ok, _ := s.slots.TryPoll(); !ok {
		return nil
	}
	return &worker.SlotPermit{}
}

// MarkSlotUsed implements worker.SlotSupplier.
func (s *sharedSlots) MarkSlotUsed(info worker.SlotMarkUsedInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[info.Permit()] = true
	s.slots.Begin()
}

// ReleaseSlot implements worker.SlotSupplier.
func (s *sharedSlots) ReleaseSlot(info worker.SlotReleaseInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.taken[info.Permit()] {
		s.slots.EndPoll()
		return
	}
	delete(s.taken, info.Permit())
	s.slots.Release()
}

// MaxSlots implements worker.SlotSupplier.
func (s *sharedSlots) MaxSlots() int { return s.slots.Size() }

// tuner is the SDK's default but for the slots of activities.
func tuner(activitySlots worker.SlotSupplier) (worker.WorkerTuner, error) {
	fixed, err := worker.NewFixedSizeTuner(worker.FixedSizeTunerOptions{})
	if err != nil {
		return nil, err
	}
	return worker.NewCompositeTuner(worker.CompositeTunerOptions{
		WorkflowSlotSupplier:        fixed.GetWorkflowTaskSlotSupplier(),
		ActivitySlotSupplier:        activitySlots,
		LocalActivitySlotSupplier:   fixed.GetLocalActivitySlotSupplier(),
		NexusSlotSupplier:           fixed.GetNexusSlotSupplier(),
		SessionActivitySlotSupplier: fixed.GetSessionActivitySlotSupplier(),
	})
}
