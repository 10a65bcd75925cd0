package report

import "trmsweep/internal/protocol"

// bestOf is the best evaluation and the bitmap of what it solved. If the best
// checkpoint was evaluated over all final puzzles, that decides; the bitmap is
// empty if only a part of them was looked at.
func bestOf(r protocol.RunResult) (protocol.Eval, string) {
	switch {
	case r.BestFull != nil && r.BestFull.ExactAccuracy > r.Final.ExactAccuracy:
		return *r.BestFull, r.BestCorrect
	case r.BestFull != nil || r.Best.Step == r.Final.Step:
		return r.Final, r.FinalCorrect
	}
	return r.Best, r.BestCorrect
}

// accountingOf a run is that of its slot if the sweep has kept it, else that of its
// training processes, which know of no time in a queue and of no lost step.
func accountingOf(r protocol.RunResult, slot *protocol.Accounting) protocol.Accounting {
	if slot != nil && slot.WallSeconds > 0 {
		return *slot
	}
	return protocol.Accounting{WallSeconds: r.WallSeconds, Goodput: r.GoodputSeconds, Preemptions: r.Preemptions}
}
