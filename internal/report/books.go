package report

import (
	"maps"
	"math"
)

// Buckets of the goodput ledger, in the order in which a run goes through them.
// A training process books from starting to evaluating; the sweep adds what only
// it sees: queued (no slot yet) and lost (dead, or computed again).
var Buckets = []string{"queued", "starting", "compiling", "restoring", "training", "saving", "evaluating", "lost"}

// Books are where a run's wall clock went. The buckets of a slot's books add up to
// its wall clock, from asking for the slot to the end of the last attempt.
type Books struct {
	WallSeconds float64            `json:"wall_seconds"`
	Ledger      map[string]float64 `json:"ledger"`               // bucket -> seconds
	FromStep    int64              `json:"from_step,omitempty"`  // committed before these books were opened
	Preemptions int                `json:"preemptions"`          //
	LostSteps   int64              `json:"lost_steps,omitempty"` // computed again
}

// books of a run: the slot's where the sweep has told them, else those of its
// training processes, in which nothing is queued or lost.
func (r RunResult) books(slot *Books) Books {
	if slot != nil && slot.WallSeconds > 0 {
		return *slot
	}
	return Books{WallSeconds: r.WallSeconds, Ledger: r.GoodputSeconds, Preemptions: r.Preemptions, LostSteps: r.LostSteps}
}

// add sums books; all eight buckets are there afterwards.
func (b *Books) add(o Books) {
	if b.Ledger == nil {
		b.Ledger = map[string]float64{}
	}
	for _, k := range Buckets {
		b.Ledger[k] += 0
	}
	for k := range maps.Keys(o.Ledger) {
		if s := o.Ledger[k]; !math.IsNaN(s) && !math.IsInf(s, 0) {
			b.Ledger[k] += s
		}
	}
	b.WallSeconds += o.WallSeconds
	b.Preemptions += o.Preemptions
	b.LostSteps += o.LostSteps
}

func (b Books) total() float64 {
	sum := 0.0
	for _, s := range b.Ledger {
		sum += s
	}
	return sum
}

// inSlot is the time from the start of the first attempt to the end of the last,
// pauses between them aside.
func (b Books) inSlot() float64 { return max(0, b.WallSeconds-b.Ledger["queued"]) }

// goodput is the share of the time in a slot that trained steps which count;
// waiting for a slot is not in it.
func (b Books) goodput() float64 {
	if in := b.total() - b.Ledger["queued"]; in > 0 {
		return b.Ledger["training"] / in
	}
	return 0
}

// off is how far the ledger is from the wall clock, as a fraction of it.
func (b Books) off() float64 {
	if b.WallSeconds <= 0 {
		return 0
	}
	return math.Abs(b.total()-b.WallSeconds) / b.WallSeconds
}
