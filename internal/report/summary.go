package report

import (
	"fmt"
	"slices"
	"strings"

	"trmsweep/internal/protocol"
)

// summary returns the sentences at the top of the report.
func summary(rows []Row) []string {
	out := []string{counts(rows)}
	done := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return len(r.results) == 0 })
	if len(done) == 0 {
		return append(out, "No experiment has a result yet, so there is nothing to compare or to draw.")
	}
	best := slices.MaxFunc(done, func(a, b Row) int { return int(1e9*(*a.BestExactAccuracy)) - int(1e9*(*b.BestExactAccuracy)) })
	if *best.BestExactAccuracy > 0 {
		out = append(out, fmt.Sprintf("The highest exact accuracy is %s%%, of %s (%s%% at its end), on %s.",
			percent(best.BestExactAccuracy), best.Experiment, percent(best.FinalExact), count(best.bestPuzzles, "test puzzle")))
	} else {
		out = append(out, "No test puzzle was solved by any experiment: these runs are too short to compare.")
	}
	out = append(out, spent(done))
	out = append(out, verdicts(rows)...)
	return append(out, warnings(done)...)
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
	return fmt.Sprintf("%s: %s.", count(len(rows), "experiment"), strings.Join(states, ", "))
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
			better = append(better, fmt.Sprintf("%s %+.2f", r.Experiment, 100**r.Delta))
		case significant(r):
			worse = append(worse, fmt.Sprintf("%s %+.2f", r.Experiment, 100**r.Delta))
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
		names []string
		what  string
	}{
		{better, "Better than the reference, in points of final exact accuracy"},
		{worse, "Worse than the reference, in points of final exact accuracy"},
		{alike, fmt.Sprintf("Not distinguishable from the reference although %.0f points would have been", 100*interesting)},
		{open, "Undecided, because underpowered"},
	} {
		if len(v.names) > 0 {
			out = append(out, v.what+": "+strings.Join(v.names, ", ")+".")
		}
	}
	return out
}

// warnings lists the facts that limit how far the numbers can be trusted.
func warnings(rows []Row) []string {
	var single, notes []string
	compared := 0
	for _, r := range rows {
		if r.Delta != nil {
			compared++
		}
		if r.Delta != nil && r.ComparedSeeds == 1 {
			single = append(single, r.Experiment)
		}
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
	if n := len(single); n > 0 {
		out = append(out, fmt.Sprintf("Comparisons that rest on one seed: %d of %d. "+
			"Their intervals say what other test puzzles would change, not what another seed would.", n, compared))
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

var method = fmt.Sprintf("How to read the tables. Differences are in points of exact accuracy (whole grids right), "+
	"experiment minus reference, with 95%% intervals in brackets: "+
	"paired bootstrap over the same test puzzles with a fixed seed, and over seeds where there are several, "+
	"widened to the variance that the analysis of variance gives with Student's t "+
	"(with two seeds that disagree much, intervals still hold in less than 95%% of cases). "+
	"\"unpaired\" says that the test puzzles differ. p-values are of the final accuracy, Holm-corrected over all %s of this report. "+
	"The best checkpoint was chosen by evaluations, so its accuracy is optimistic and has no p-value; final is the honest figure. "+
	"† is underpowered: not significant, and a difference would have to be as large as the number after † (in points) "+
	"to be found in 80%% of cases under the correction, more than the %.0f points that matter here. "+
	"± is the standard deviation over seeds. paper %% is published for the full size on all 422,786 test puzzles of sudoku-extreme: "+
	"a run of a smaller profile or on other puzzles cannot be held against it.", "comparisons", 100*interesting)
