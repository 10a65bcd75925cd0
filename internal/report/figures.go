package report

import "fmt"

// figures draws what the rows have data for.
func figures(rows []Row, sets Datasets) ([]figure, error) {
	var out []figure
	for _, d := range []struct {
		name, title, note string
		panels            func([]Row) ([]*panel, error)
	}{
		{"exact_accuracy", "Exact accuracy on held-out puzzles", "One line per seed, a mark per evaluation; the last one is the final evaluation, those before it may be over fewer puzzles (eval_puzzles). The dashed black line is the reference.", accuracyPanels},
		{"loss", "Training loss", "One line per seed, the mean over about a twentieth of the run, in whole multiples of halt_max_steps; what was logged is faint behind it. The dashed black line is the reference. Rows that halt are replaced by new puzzles, so the loss jumps whenever many halt at once.", lossPanels},
		{"compute", "Accuracy against compute", "One mark per seed; higher and further left is better. Work is the matrix products of training and evaluations.", computePanel},
		{"tn", "Best exact accuracy over T x n, %", "Darker is higher; empty fields were not trained. T recursions with n updates of z_L each; means over seeds.", heatPanel},
		{"ledger", "Time by bucket", "Share of the wall clock from asking for a slot to the end, by bucket; sums over seeds.", goodputPanel},
		{"hours", "Predicted against actual time", hoursNote(rows), hoursPanel},
		{"dataset", "Test and training puzzles", "Rating: backtracks that a solver needs. Shares of the training and test puzzles, before augmentation, from the datasets' own records.",
			func(rows []Row) ([]*panel, error) { return datasetPanels(rows, sets) }},
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
