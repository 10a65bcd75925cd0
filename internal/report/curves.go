package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"trmsweep/internal/experiment"
)

// curve reads a line off one result.
type curve func(RunResult) plotter.XYs

func lossCurve(r RunResult) plotter.XYs {
	var xys plotter.XYs
	for _, c := range r.Curve {
		xys = append(xys, plotter.XY{X: c[0], Y: c[1]})
	}
	return xys
}

func accuracyCurve(r RunResult) plotter.XYs {
	var xys plotter.XYs
	for _, e := range r.Evals {
		xys = append(xys, plotter.XY{X: float64(e.Step), Y: 100 * e.ExactAccuracy})
	}
	return append(xys, plotter.XY{X: float64(r.Final.Step), Y: 100 * r.Final.ExactAccuracy})
}

// curvePanels are one panel per phase with a line per seed of every experiment;
// the phase's reference is the black dashed line, wherever it belongs. The
// vertical axis is the same in all panels.
func curvePanels(rows []Row, x, y string, read curve) ([]*panel, error) {
	var panels []*panel
	low, high := math.Inf(1), math.Inf(-1)
	for _, phase := range experiment.Phases {
		p := newPanel(phase, x, y)
		for i, r := range phaseRows(rows, phase) {
			label := r.Experiment
			style := plotter.DefaultLineStyle
			style.Width, style.Color = vg.Points(1.2), lineColor(i)
			if r.Reference == "" {
				label += " (ref)"
				style.Color, style.Dashes = color.Black, []vg.Length{vg.Points(4), vg.Points(2)}
			}
			drawn := false
			for _, res := range r.results {
				xys := finite(read(res))
				if len(xys) == 0 {
					continue
				}
				l := &plotter.Line{XYs: xys, LineStyle: style}
				p.plot.Add(l)
				if !drawn {
					p.add(label, l)
					drawn = true
				}
			}
		}
		if p.items == 0 {
			continue
		}
		low, high = min(low, p.plot.Y.Min), max(high, p.plot.Y.Max)
		panels = append(panels, p)
	}
	for _, p := range panels {
		p.plot.X.Min = min(0, p.plot.X.Min)
		p.plot.Y.Min, p.plot.Y.Max = low, max(high, low+1e-3)
	}
	return panels, nil
}

// phaseRows are the rows of a phase and its reference last, shared runs once.
func phaseRows(rows []Row, phase string) []Row {
	var out []Row
	add := func(r Row) {
		same := func(o Row) bool { return o.SpecHash == r.SpecHash }
		if len(r.results) > 0 && !slices.ContainsFunc(out, same) {
			out = append(out, r)
		}
	}
	var references []string
	for _, r := range rows {
		if r.Phase == phase {
			add(r)
			references = append(references, r.Reference)
		}
	}
	if len(out) == 0 {
		return nil
	}
	for _, r := range rows {
		if slices.Contains(references, r.Experiment) {
			add(r)
		}
	}
	return out
}

// figures draws what the rows have data for.
func figures(rows []Row) ([]figure, error) {
	var out []figure
	for _, d := range []struct {
		name, title, note string
		panels            func() ([]*panel, error)
	}{
		{"loss", "Training loss", "One line per seed; the dashed black line is the reference.",
			func() ([]*panel, error) { return curvePanels(rows, "optimizer step", "loss per example", lossCurve) }},
		{"exact_accuracy", "Exact accuracy on held-out puzzles", "One line per seed; the last point is the final evaluation.",
			func() ([]*panel, error) {
				return curvePanels(rows, "optimizer step", "exact accuracy, %", accuracyCurve)
			}},
		{"compute", "Accuracy against compute", "One point per seed.", func() ([]*panel, error) { return computePanel(rows) }},
		{"hours", "Predicted against actual hours", "Predicted for one host of a v4-64 unless the run recorded a prediction of its own; on other hardware look at how the points keep to the line of the median ratio.",
			func() ([]*panel, error) { return hoursPanel(rows) }},
		{"tn", "Best exact accuracy over T x n, %", "", func() ([]*panel, error) { return heatPanel(rows) }},
	} {
		panels, err := d.panels()
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", d.name, err)
		}
		if len(panels) == 0 {
			continue
		}
		f, err := newFigure(d.name, d.title, panels)
		if err != nil {
			return nil, err
		}
		f.Note = d.note
		out = append(out, f)
	}
	return out, nil
}

// logAxis makes an axis logarithmic with room at both ends.
func logAxis(a *plot.Axis) {
	a.Scale, a.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	a.Min, a.Max = a.Min/1.5, a.Max*1.5
}
