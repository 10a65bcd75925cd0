package report

import "trmsweep/internal/protocol"

// bestOf returns the best evaluation of a run and the bitmap of the puzzles that it
// solved. The evaluation of the best checkpoint over all final puzzles decides if
// there is one; the bitmap is empty if only a part of the puzzles was evaluated.
func bestOf(r protocol.RunResult) (protocol.Eval, string) {
	switch {
	case r.BestFull != nil && r.BestFull.ExactAccuracy > r.Final.ExactAccuracy:
		return *r.BestFull, r.BestCorrect
	case r.BestFull != nil || r.Best.Step == r.Final.Step:
		return r.Final, r.FinalCorrect
	}
	return r.Best, r.BestCorrect
}

// accountingOf returns the accounting of a run: that of its slot if the sweep recorded
// it, else that of its training processes, which count neither time in a queue nor lost steps.
func accountingOf(r protocol.RunResult, slot *protocol.Accounting) protocol.Accounting {
	if slot != nil && slot.WallSeconds > 0 {
		return *slot
	}
	return protocol.Accounting{WallSeconds: r.WallSeconds, Goodput: r.GoodputSeconds, Preemptions: r.Preemptions}
}
