package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

// table is a titled table that is rendered as Markdown and as HTML.
type table struct {
	Title string
	Note  string
	Head  []cell // class "num" marks a column of numbers
	Rows  [][]cell
}

// cell is a value of a table (Text), a smaller line below it (Sub), and a CSS class.
type cell struct{ Text, Sub, Class string }

// head makes the heads of columns. A leading # marks a column of numbers.
func head(names ...string) []cell {
	out := make([]cell, len(names))
	for i, n := range names {
		out[i].Text = n
		if rest, ok := strings.CutPrefix(n, "#"); ok {
			out[i] = cell{Text: rest, Class: "num"}
		}
	}
	return out
}

func plain(texts ...string) []cell {
	out := make([]cell, len(texts))
	for i, t := range texts {
		out[i].Text = t
	}
	return out
}

// resultTables makes one table per phase.
func resultTables(rows []Row) []table {
	var out []table
	for _, phase := range experiment.Phases {
		t := table{Title: "Results: phase " + phase, Head: head(
			"experiment", "status", "against", "changes", "#steps", "#batch", "#compute / reference", "#final exact % [95%]",
			"#difference of final [simultaneous 95%]", "#p (corrected)", "#best exact %", "#cells %", "#paper %")}
		for _, r := range rows {
			if r.Phase == phase {
				t.Rows = append(t.Rows, resultCells(r))
			}
		}
		if len(t.Rows) > 0 {
			out = append(out, t)
		}
	}
	return out
}

func resultCells(r Row) []cell {
	name := cell{Text: r.Experiment}
	if len(r.SharedWith) > 0 {
		name.Sub = "same run as " + strings.Join(r.SharedWith, ", ")
	}
	status := cell{Text: r.Status, Sub: strings.TrimPrefix(strings.TrimSuffix(r.Failure+"; "+r.Stopped, "; "), "; "), Class: r.Status}
	switch {
	case r.Status == "partial":
		status.Text += fmt.Sprintf(", %d of %d seeds", len(r.Seeds), len(r.WantedSeeds))
	case len(r.Seeds) > 1:
		status.Text += ", " + count(len(r.Seeds), "seed")
	}
	if r.Note != "" {
		status.Sub = strings.TrimPrefix(status.Sub+"; "+r.Note, "; ")
	}
	best, final := cell{Text: percent(r.BestExactAccuracy)}, cell{Text: percent(r.FinalExact)}
	if r.BestExactAccuracy != nil {
		best.Sub = r.bestSteps()
	}
	if r.BestPuzzles < r.Puzzles {
		best.Text += fmt.Sprintf(" of %d", r.BestPuzzles)
	}
	if r.FinalCILow != nil {
		final.Sub = fmt.Sprintf("[%.2f, %.2f]", 100**r.FinalCILow, 100**r.FinalCIHigh)
	}
	if r.SeedDeviation != nil {
		final.Sub += fmt.Sprintf(" ± %.2f", 100**r.SeedDeviation)
	}
	against := cell{Text: r.Reference}
	if r.Reference == "" {
		against.Text = "is the reference"
	}
	diff, p := differenceCells(r)
	changes := cell{Text: cmp.Or(r.changesText(), "-")}
	return []cell{name, status, against, changes, {Text: whole(r.Steps)}, {Text: whole(r.Batch)}, {Text: r.computeText()},
		final, diff, p, best, {Text: percent(r.CellAccuracy)}, {Text: percent(r.PaperExact), Sub: r.PaperNote}}
}

// changesText lists what a row changes against its reference: "hidden_size 32 → 64".
func (r Row) changesText() string {
	var changes []string
	for _, d := range r.Changes {
		changes = append(changes, fmt.Sprintf("%s %s → %s", d.Key, shortValue(d.A), shortValue(d.B)))
	}
	return strings.Join(changes, ", ")
}

// shortValue rounds the value of a key if it is a fraction.
func shortValue(value string) string {
	x, err := strconv.ParseFloat(value, 64)
	if err != nil || !strings.ContainsAny(value, ".e") {
		return value
	}
	return strconv.FormatFloat(x, 'g', 6, 64)
}

// computeText is the work of the training as a multiple of the reference's. ≠ marks one that is not about equal.
func (r Row) computeText() string {
	switch {
	case r.ComputeRatio == 0:
		return "-"
	case r.UnequalCompute:
		return "≠ " + ratio(r.ComputeRatio)
	}
	return ratio(r.ComputeRatio)
}

// times is a ratio for people.
func times(ratio float64) string { return strconv.FormatFloat(ratio, 'g', 3, 64) }

// setupTable has the hyperparameters of every experiment as it was run, and what it cost.
func setupTable(rows []Row) table {
	most := 0.0
	for _, r := range rows {
		most = max(most, r.TrainingFLOPs)
	}
	unit, size := flopUnit(most)
	t := table{
		Title: "Setups",
		Note: "Values as run, after the profile has scaled them; \"named\" is the value at full size in an experiment's name. " +
			"Rows are optimizer steps x batch: a puzzle is a row for up to N_sup supervision steps. " +
			"Compute is the training's alone: optimizer steps x batch x predicted FLOP of a row (matrix products of all recursions, " +
			"forward and backward), evaluations left out.",
		Head: head("experiment", "profile", "#T", "#n", "#N_sup", "#layers", "#hidden", "#parameters", "#lr", "#batch", "#epochs", "#puzzles",
			"#steps", "#rows", "#compute, "+unit),
	}
	for _, r := range rows {
		s := r.spec
		recursions, updates := cell{Text: whole(s.HCycles)}, cell{Text: whole(s.LCycles)}
		if T, n, ok := namedDepth(r.Experiment); ok {
			recursions.Sub, updates.Sub = namedAs(T, s.HCycles), namedAs(n, s.LCycles)
		}
		t.Rows = append(t.Rows, []cell{
			{Text: r.Experiment},
			{Text: s.Profile},
			recursions,
			updates,
			{Text: whole(s.HaltMaxSteps)},
			{Text: whole(s.LLayers)},
			{Text: whole(s.HiddenSize)},
			{Text: whole(r.Params)},
			{Text: strconv.FormatFloat(s.LR, 'g', 4, 64)},
			{Text: whole(s.GlobalBatchSize)},
			{Text: whole(s.Epochs)},
			{Text: whole(s.DataPuzzles)},
			{Text: whole(r.Steps)},
			{Text: whole(r.Steps * int64(s.GlobalBatchSize))},
			{Text: strconv.FormatFloat(r.TrainingFLOPs/size, 'g', 4, 64)},
		})
	}
	return t
}

// namedDepth reads T and n from the name of an experiment that varies them.
func namedDepth(experiment string) (t, n int, ok bool) {
	found, _ := fmt.Sscanf(experiment, "e2_2_t%d_n%d", &t, &n)
	return t, n, found == 2
}

// namedAs says which value an experiment is named after, if it was run with another one.
func namedAs(name, run int) string {
	if name == run {
		return ""
	}
	return fmt.Sprintf("named %d", name)
}

// bestSteps describes the range of the steps of the seeds' best evaluations.
func (r Row) bestSteps() string {
	low, high := r.BestStep, r.BestStep
	for _, x := range r.results {
		b, _ := x.BestEval()
		low, high = min(low, b.Step), max(high, b.Step)
	}
	if low == high {
		return "step " + whole(low)
	}
	return "steps " + whole(low) + " to " + whole(high)
}

// differenceCells makes the cells with the difference of final accuracy and its p-value.
func differenceCells(r Row) (diff, p cell) {
	diff, p.Text = points(r.Delta, r.CILow, r.CIHigh), "-"
	if r.Delta == nil {
		return diff, p
	}
	p.Text = PText(*r.PCorrected, r.PAtFloor)
	if !r.Paired {
		diff.Sub += "\nunpaired"
	}
	if r.ComparedSeeds < len(r.Seeds) {
		diff.Sub += "\nover " + count(r.ComparedSeeds, "seed")
	}
	switch {
	case r.Underpowered:
		p.Sub = fmt.Sprintf("† %.1f", 100**r.MDE)
	case significant(r) && *r.Delta > 0:
		diff.Class = "better"
	case significant(r):
		diff.Class = "worse"
	}
	return diff, p
}

func points(delta, low, high *float64) cell {
	if delta == nil {
		return cell{Text: "-"}
	}
	return cell{Text: fmt.Sprintf("%+.2f", 100**delta), Sub: fmt.Sprintf("[%+.2f, %+.2f]", 100**low, 100**high)}
}

// timeTable divides the time of every experiment among the buckets, all in the same unit.
func timeTable(rows []Row) table {
	longest, slots, runs := 0.0, 0, 0
	for _, r := range rows {
		longest = max(longest, r.WallSeconds)
		slots, runs = slots+len(r.Slots), runs+len(r.Runs)
	}
	unit, seconds, digits := "s", 1.0, 1
	switch {
	case longest >= 10*3600:
		unit, seconds, digits = "h", 3600, 2
	case longest >= 1200:
		unit, seconds = "min", 60
	}
	predicted := !predictedElsewhere(rows)
	names := []string{"experiment", "#in slots"}
	if predicted {
		names = append(names, "#predicted", "#in slots / predicted")
	}
	names = append(names, "#goodput %")
	for _, b := range protocol.Buckets {
		names = append(names, "#"+b)
	}
	unitName := map[string]string{"s": "seconds", "min": "minutes", "h": "hours"}[unit]
	t := table{
		Title: "Where the time went",
		Head:  head(append(names, "#lost steps", "#preemp- tions")...),
		Note: fmt.Sprintf("Buckets in %s, over all finished seeds; they add up to the wall clock from asking for a slot to the end. "+
			"In slots is all but queued, and goodput is training's share of that. ", unitName),
	}
	if predicted {
		t.Note += fmt.Sprintf("Predicted: the plan's figure for one TPU v4 chip at %.1f%% of its peak, "+
			"unless the run recorded a prediction of its own. ", 100*experiment.DefaultUtilisation)
	} else {
		t.Note += "The plan predicts the hours of a TPU v4 chip; these runs were made on something else, so its predictions are left out. "
	}
	switch {
	case slots == 0 && runs > 0:
		t.Note += "These times were measured by the training processes: " +
			"time in a queue and time lost with a process that died are not included."
	case slots < runs:
		t.Note += fmt.Sprintf("For %d of %d runs only the times that the training processes measured are known (marked *): "+
			"time in a queue and time lost with a process that died are not included.", runs-slots, runs)
	}
	for _, r := range rows {
		cells := []cell{{Text: r.Experiment}}
		if len(r.results) == 0 {
			cells = append(cells, plain(slices.Repeat([]string{"-"}, len(t.Head)-1)...)...)
			if predicted {
				cells[2].Text = duration(3600 * r.PredictedHours)
			}
			t.Rows = append(t.Rows, cells)
			continue
		}
		if slots > 0 && len(r.Slots) < len(r.Runs) {
			cells[0].Text += " *"
		}
		cells = append(cells, cell{Text: duration(r.inSlot())})
		if predicted {
			cells = append(cells, plain(duration(3600*r.PredictedHours), ratio(r.inSlot()/3600/r.PredictedHours))...)
		}
		cells = append(cells, cell{Text: fmt.Sprintf("%.1f", 100*r.Goodput)})
		for _, b := range protocol.Buckets {
			cells = append(cells, cell{Text: fmt.Sprintf("%.*f", digits, r.Seconds[b]/seconds)})
		}
		t.Rows = append(t.Rows, append(cells, cell{Text: whole(r.LostSteps)}, cell{Text: whole(r.Preemptions)}))
	}
	return t
}

// namedByOlderHash says whether a run of the row was named by a hash of an older format.
func (r Row) namedByOlderHash() bool {
	return slices.ContainsFunc(r.Runs, func(run string) bool {
		hash, _, named := layout.ParseRunName(run)
		return named && !strings.HasPrefix(r.SpecHash, hash)
	})
}

// reproTables list everything that is needed to reproduce a result: the specification of
// every run, and its dataset and code by numbers, which the second table explains.
func reproTables(rows []Row, sets Datasets) []table {
	hashes, codes := datasetOrder(rows), []string{}
	runs := table{
		Title: "Reproducibility",
		Head:  head("experiment", "spec hash", "seeds", "data", "code", "arithmetic", "final state"),
		Note: "A run is named by the first 16 digits of its spec hash and by its seed (HASH-sSEED); " +
			"the store has its resolved spec as specs/RUN.json and its result as runs/RUN/result.json. " +
			"`trmsweep verify` recomputes what a run was fed, and the same spec, seed, dataset, code and arithmetic " +
			"(backend and kernels or device) give the same final state bit for bit.",
	}
	if slices.ContainsFunc(rows, Row.namedByOlderHash) {
		runs.Note += " Runs of other names were begun by an older version, whose hashes had another format, and keep their names."
	}
	for _, r := range rows {
		data, states := "-", []string{}
		var code []string
		for _, x := range r.results {
			data = "D" + number(&hashes, x.DatasetHash)
			if c := "C" + number(&codes, x.CodeVersion); !slices.Contains(code, c) {
				code = append(code, c)
			}
		}
		for _, s := range r.StateSHA256 {
			states = append(states, fmt.Sprintf("%.12s", s))
		}
		seeds := strings.Trim(fmt.Sprint(r.Seeds), "[]")
		cells := plain(r.Experiment, r.SpecHash, seeds, data, strings.Join(code, " "), arithmetics(r.results), strings.Join(states, " "))
		cells[1].Class = "hash"
		runs.Rows = append(runs.Rows, cells)
	}
	if m := mixed(rows); len(m) > 0 {
		runs.Note += " Went on with other arithmetic than they began with, so that no undisturbed run gives their bits: " +
			strings.Join(m, ", ") + "."
	}
	out := []table{runs}
	if len(hashes) == 0 {
		return out
	}
	t := table{Title: "Data and code of the runs", Head: head("", "what", "name", "made from")}
	for i, h := range hashes {
		from := "not in the store"
		if d, ok := sets[h]; ok {
			source := d.Source
			if d.Profile != "" {
				source += ":" + d.Profile
			}
			from = fmt.Sprintf("%s%s, seed %d, %s training puzzles x %s augmentations, %s test puzzles",
				source, at(d.Revision), d.Seed, whole(d.Train.Groups), whole(d.NumAug), whole(d.Test.Groups))
			if d.MinRating > 0 {
				from += fmt.Sprintf(", rating at least %d", d.MinRating)
			}
			if n := d.TestInTrainCount; n > 0 {
				from += fmt.Sprintf("; %s equal to a training puzzle up to symmetry", count(n, "test puzzle"))
			}
		}
		t.Rows = append(t.Rows, []cell{{Text: fmt.Sprintf("D%d", i+1)}, {Text: "dataset hash"}, {Text: h, Class: "hash"}, {Text: from}})
	}
	for i, c := range codes {
		t.Rows = append(t.Rows, plain(fmt.Sprintf("C%d", i+1), "code version", c, ""))
	}
	return append(out, t)
}

func at(revision string) string {
	if revision == "" {
		return ""
	}
	return " at " + revision
}

// number returns the position of a name in a list, from 1. A new name is appended to the list.
func number(names *[]string, name string) string {
	i := slices.Index(*names, name)
	if i < 0 {
		i = len(*names)
		*names = append(*names, name)
	}
	return fmt.Sprint(i + 1)
}

func percent(x *float64) string {
	if x == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", 100**x)
}

// count formats a number of things: "1 seed" or "3 seeds".
func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return whole(n) + " " + of + "s"
}

var english = message.NewPrinter(language.English)

// whole formats an integer with separated thousands.
func whole[T int | int64](n T) string { return english.Sprintf("%d", n) }

func ratio(x float64) string {
	switch {
	case !(x > 0 && x < 1e300):
		return "-"
	case x >= 100:
		return english.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func duration(seconds float64) string {
	switch {
	case seconds <= 0:
		return "0 s"
	case seconds < 0.1:
		return fmt.Sprintf("%.2g ms", 1000*seconds)
	case seconds < 120:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 7200:
		return fmt.Sprintf("%.1f min", seconds/60)
	}
	return fmt.Sprintf("%.2f h", seconds/3600)
}
