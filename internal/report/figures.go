package report

import (
	"fmt"
	"slices"
	"strings"
)

// figures draws every figure for which the rows have data.
func figures(rows []Row, sets Datasets) ([]figure, error) {
	var out []figure
	for _, d := range []struct {
		name, title, note string
		panels            func([]Row) ([]*panel, error)
	}{
		{
			name:   "exact_accuracy",
			title:  "Exact accuracy on held-out puzzles",
			note:   accuracyNote(rows),
			panels: accuracyPanels,
		},
		{
			name:  "loss",
			title: "Training loss",
			note: "One line per seed, the mean over about a twentieth of the run, in whole multiples of halt_max_steps; " +
				"what was logged is faint behind it. The dashed black line is the reference. " + rowsNote + " " +
				"Rows that halt are replaced by new puzzles, so the loss jumps whenever many halt at once.",
			panels: lossPanels,
		},
		{
			name:  "compute",
			title: "Accuracy against compute",
			note: "One mark per seed, with the 95% interval of its final exact accuracy; higher and further left is better. Compute as in the " +
				"table of setups: evaluations are left out.",
			panels: computePanel,
		},
		{
			name:   "tn",
			title:  "Final exact accuracy over T x n, %",
			note:   tnNote(rows),
			panels: heatPanel,
		},
		{
			name:   "ledger",
			title:  "Time by bucket",
			note:   "Share of the wall clock from asking for a slot to the end, by bucket; sums over seeds.",
			panels: goodputPanel,
		},
		{
			name:   "hours",
			title:  "Predicted against actual time",
			note:   hoursNote(rows),
			panels: hoursPanel,
		},
		{
			name:  "dataset",
			title: "Test and training puzzles",
			note: "Rating: backtracks that a solver needs. Shares of the training and test puzzles, before augmentation, " +
				"from the datasets' own records.",
			panels: func(rows []Row) ([]*panel, error) { return datasetPanels(rows, sets) },
		},
	} {
		panels, err := d.panels(rows)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", d.name, err)
		}
		if len(panels) == 0 {
			continue
		}
		f, err := newFigure(d.name, d.title, d.note, panels)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

const rowsNote = "An optimizer step takes a batch of rows: steps of other batches are compared by their rows."

// accuracyNote says what the lines and marks of the accuracies are, and of how many puzzles.
func accuracyNote(rows []Row) string {
	var part, all []string
	add := func(list *[]string, puzzles int) {
		if name := whole(puzzles); !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, r := range rows {
		for _, x := range r.results {
			add(&all, x.Final.Puzzles)
			for _, e := range x.Evals {
				if e.Step < x.Final.Step {
					add(&part, e.Puzzles)
				}
			}
		}
	}
	note := fmt.Sprintf("One line per seed. Large marks are of %s test puzzles: the final evaluation, where the line ends, and the "+
		"best exact accuracy, if it is an earlier checkpoint's.", strings.Join(all, " or "))
	if len(part) > 0 {
		note += fmt.Sprintf(" Small marks are evaluations while training, of %s puzzles, by which that checkpoint was chosen.",
			strings.Join(part, " or "))
	}
	return note + " The dashed black line is the reference. " + rowsNote
}

// tnNote says how values as run and as named belong together.
func tnNote(rows []Row) string {
	note := "Darker is higher; empty fields were not trained. T recursions with n updates of z_L each; means over seeds."
	for _, r := range rows {
		t, n, ok := namedDepth(r.Experiment)
		scaled := t != r.spec.HCycles || n != r.spec.LCycles
		if ok && scaled {
			return note + fmt.Sprintf(" Experiments are named after the study at full size; profile %s scales their values: "+
				"%s was run with T = %d and n = %d.", r.spec.Profile, r.Experiment, r.spec.HCycles, r.spec.LCycles)
		}
	}
	return note
}
