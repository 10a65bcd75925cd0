package report

import "fmt"

// figures draws every figure for which the rows have data.
func figures(rows []Row, sets Datasets) ([]figure, error) {
	var out []figure
	for _, d := range []struct {
		name, title, note string
		panels            func([]Row) ([]*panel, error)
	}{
		{
			name:  "exact_accuracy",
			title: "Exact accuracy on held-out puzzles",
			note: "One line per seed, a mark per evaluation; the last one is the final evaluation, " +
				"those before it may be over fewer puzzles (eval_puzzles). The dashed black line is the reference.",
			panels: accuracyPanels,
		},
		{
			name:  "loss",
			title: "Training loss",
			note: "One line per seed, the mean over about a twentieth of the run, in whole multiples of halt_max_steps; " +
				"what was logged is faint behind it. The dashed black line is the reference. " +
				"Rows that halt are replaced by new puzzles, so the loss jumps whenever many halt at once.",
			panels: lossPanels,
		},
		{
			name:   "compute",
			title:  "Accuracy against compute",
			note:   "One mark per seed; higher and further left is better. Work is the matrix products of training and evaluations.",
			panels: computePanel,
		},
		{
			name:   "tn",
			title:  "Best exact accuracy over T x n, %",
			note:   "Darker is higher; empty fields were not trained. T recursions with n updates of z_L each; means over seeds.",
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
