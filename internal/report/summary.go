package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"trmsweep/internal/protocol"
)

// summary returns the sentences at the top of the report: first what limits it, then what came out.
func summary(rows []Row) []string {
	out := []string{counts(rows)}
	done := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return len(r.results) == 0 })
	if len(done) == 0 {
		return append(out, "No experiment has a result yet, so there is nothing to compare or to draw.")
	}
	out = append(out, limits(done)...)
	out = append(out, verdicts(rows)...)
	out = append(out, highest(done), spent(done))
	return append(out, warnings(done)...)
}

// limits says what the comparisons cannot say: what another seed would give, and what a change does at the same cost.
func limits(rows []Row) []string {
	compared, single, unequal := 0, 0, 0
	for _, r := range rows {
		if r.Delta == nil {
			continue
		}
		compared++
		if r.ComparedSeeds == 1 {
			single++
		}
		if r.UnequalCompute {
			unequal++
		}
	}
	out := []string{}
	if single > 0 {
		out = append(out, fmt.Sprintf("Comparisons that rest on one seed: %d of %d. Their intervals say what other test puzzles would change, "+
			"not what another seed would: better and worse below are of these runs.", single, compared))
	}
	if unequal > 0 {
		out = append(out, fmt.Sprintf("Comparisons at unequal compute, marked ≠: %d of %d. The work of their training (optimizer steps x "+
			"batch x predicted FLOP of a row) is more than %.0f%% away from the reference's: they say what a change does together with "+
			"its cost, not what it does by itself.", unequal, compared, 100*equalCompute))
	}
	return out
}

// highest names the best final accuracy. The maximum of many is optimistic.
func highest(rows []Row) string {
	best := slices.MaxFunc(rows, func(a, b Row) int { return cmp.Compare(*a.FinalExact, *b.FinalExact) })
	if *best.FinalExact == 0 {
		return "No test puzzle was solved by the last weights of any experiment: these runs are too short to compare."
	}
	interval := ""
	if best.FinalCILow != nil {
		interval = fmt.Sprintf(" (95%% interval %.2f to %.2f)", 100**best.FinalCILow, 100**best.FinalCIHigh)
	}
	text := fmt.Sprintf("The highest final exact accuracy is %s%%%s, of %s, on %s", percent(best.FinalExact), interval, best.Experiment,
		count(best.Puzzles, "test puzzle"))
	if len(rows) > 1 {
		text += fmt.Sprintf("; being the highest of %d, it is rather too high", len(rows))
	}
	return text + "."
}

func counts(rows []Row) string {
	statuses := map[string]int{}
	for _, r := range rows {
		statuses[r.Status]++
	}
	states := []string{}
	for _, s := range []string{"done", "partial", "failed", "stopped", "missing"} {
		if statuses[s] > 0 {
			states = append(states, fmt.Sprintf("%d %s", statuses[s], s))
		}
	}
	profiles := []string{}
	for _, r := range rows {
		if !slices.Contains(profiles, r.spec.Profile) {
			profiles = append(profiles, r.spec.Profile)
		}
	}
	if len(rows) == 0 {
		return "0 experiments: none."
	}
	return fmt.Sprintf("%s (profile %s): %s.", count(len(rows), "experiment"), strings.Join(profiles, ", "), strings.Join(states, ", "))
}

// spent sums the accounting of the distinct runs in one sentence.
func spent(rows []Row) string {
	var all protocol.Accounting
	seen := map[string]bool{}
	runs := 0
	for _, r := range rows {
		for _, x := range r.results {
			if !seen[x.Run] {
				seen[x.Run] = true
				runs++
				all.Add(r.accounting(x))
			}
		}
	}
	queued := ""
	if q := all.Goodput[protocol.BucketQueued]; q > 0 {
		queued = fmt.Sprintf(" (and %s of waiting for one)", duration(q))
	}
	return fmt.Sprintf("%s in slots%s for %s, goodput %.1f%%: %s, %s computed again.",
		duration(all.InSlot()), queued, count(runs, "run"), 100*all.Share(),
		count(all.Preemptions, "preemption"), count(int(all.LostSteps), "step"))
}

// verdicts groups the comparisons by their outcome, one sentence per group.
func verdicts(rows []Row) []string {
	var better, worse, alike, open []string
	for _, r := range rows {
		switch {
		case r.Delta == nil:
		case significant(r) && *r.Delta > 0:
			better = append(better, found(r))
		case significant(r):
			worse = append(worse, found(r))
		case r.Underpowered:
			open = append(open, r.Experiment)
		default:
			alike = append(alike, r.Experiment)
		}
	}
	if n := len(open); n > 2 && n == len(better)+len(worse)+len(alike)+n {
		return []string{fmt.Sprintf("Undecided, because underpowered: all %d comparisons.", n)}
	}
	out := []string{}
	for _, v := range []struct {
		what, between string
		names         []string
	}{
		{"Better than the reference, in points of final exact accuracy", "; ", better},
		{"Worse than the reference, in points of final exact accuracy", "; ", worse},
		{fmt.Sprintf("Not distinguishable from the reference although %.0f points would have been", 100*interesting), ", ", alike},
		{"Undecided, because underpowered", ", ", open},
	} {
		if len(v.names) > 0 {
			out = append(out, v.what+": "+strings.Join(v.names, v.between)+".")
		}
	}
	return out
}

// found says a difference, what was changed for it and what that cost.
func found(r Row) string {
	cost := "equal compute"
	if r.UnequalCompute {
		cost = fmt.Sprintf("≠ %s x the compute", times(r.ComputeRatio))
	}
	if r.StepsRatio != 1 {
		cost += fmt.Sprintf(", %s x the steps", times(r.StepsRatio))
	}
	return fmt.Sprintf("%s %+.2f (%s: %s)", r.Experiment, 100**r.Delta, cost, r.changesText())
}

// warnings lists further facts that limit how far the numbers can be trusted.
func warnings(rows []Row) []string {
	var notes []string
	for _, r := range rows {
		if r.Note != "" {
			notes = append(notes, r.Experiment+": "+r.Note)
		}
	}
	out := []string{}
	if n, kinds := mixture(rows, func(r protocol.RunResult) []string { return []string{r.CodeVersion} }); n > 1 {
		out = append(out, fmt.Sprintf("Caution: results of %d versions of the code are mixed: %s. Differences may come from the code.", n, kinds))
	}
	if n, kinds := mixture(rows, arithmetic); n > 1 {
		out = append(out, fmt.Sprintf("Caution: results of %d kinds of arithmetic are mixed: %s. "+
			"They round otherwise, which acts like another seed.", n, kinds))
	}
	if len(notes) > 0 {
		out = append(out, "Notes: "+strings.Join(notes, "; ")+".")
	}
	return out
}

// mixture groups the experiments by the kinds that kindsOf returns for their results. It
// returns the number of kinds and a list such as "a (exp1, exp2); b (exp3)".
func mixture(rows []Row, kindsOf func(protocol.RunResult) []string) (int, string) {
	in := map[string][]string{}
	var order []string
	for _, row := range rows {
		for _, r := range row.results {
			for _, kind := range kindsOf(r) {
				if in[kind] == nil {
					order = append(order, kind)
				}
				if !slices.Contains(in[kind], row.Experiment) {
					in[kind] = append(in[kind], row.Experiment)
				}
			}
		}
	}
	parts := make([]string, len(order))
	for i, kind := range order {
		parts[i] = fmt.Sprintf("%s (%s)", kind, strings.Join(in[kind], ", "))
	}
	return len(order), strings.Join(parts, "; ")
}

var method = fmt.Sprintf("How to read the tables. exact: share of test puzzles of which every cell is right. "+
	"final exact: the last weights, over all puzzles of the final evaluation; its 95%% interval is Wilson's, with several seeds for the "+
	"number of independent puzzles that would give the variance over puzzles and seeds. "+
	"best exact: over the same puzzles, the last weights or those of the checkpoint that evaluations while training have chosen, "+
	"whichever are better. Test puzzles have chosen it, so it is optimistic: it has neither interval nor p-value, and nothing is "+
	"concluded from it. "+
	"Differences are experiment minus reference, in points of final exact accuracy: "+
	"paired bootstrap over the same test puzzles with a fixed seed, and over seeds where there are several, "+
	"widened to the variance that the analysis of variance gives with Student's t "+
	"(with two seeds that disagree much, intervals still hold in less than 95%% of cases). "+
	"\"unpaired\" says that the test puzzles differ. "+
	"Their intervals are simultaneous: with 95%%, all of this report's contain the true difference (Bonferroni, which holds however the "+
	"comparisons depend on each other). p is corrected in the same way, so that better and worse (p at most %.2f) are exactly the "+
	"differences whose interval leaves out 0; < stands where no resample was as extreme. "+
	"† is underpowered: undecided, and a difference would have to be as large as the number after † (in points) "+
	"to be found in 80%% of cases, more than the %.0f points that matter here. "+
	"± is the standard deviation over seeds. ≠ is unequal compute. "+
	"paper %% is published for the full size on all 422,786 test puzzles of sudoku-extreme: "+
	"a run of a smaller profile or on other puzzles cannot be held against it.", alpha, 100*interesting)
