package report

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

// curve extracts from a result the points of one line by optimizer step, and those to mark.
type curve func(protocol.RunResult) (line, marked plotter.XYs)

func lossCurve(r protocol.RunResult) (line, marked plotter.XYs) {
	for _, c := range r.Curve {
		line = append(line, plotter.XY{X: c[0], Y: c[1]})
	}
	return line, nil
}

// accuracyCurve is a line through the evaluations while training to the final one. The final one
// and that of the best checkpoint, over all puzzles, are marked.
func accuracyCurve(r protocol.RunResult) (line, marked plotter.XYs) {
	at := func(e protocol.Eval) plotter.XY { return plotter.XY{X: float64(e.Step), Y: 100 * e.ExactAccuracy} }
	for _, e := range r.Evals {
		if e.Step < r.Final.Step {
			line = append(line, at(e))
		}
	}
	if best, _ := r.BestEval(); best.Step < r.Final.Step && best.Puzzles == r.Final.Puzzles {
		marked = append(marked, at(best))
	}
	return append(line, at(r.Final)), append(marked, at(r.Final))
}

// rowsAxis is the axis of everything that changes while a run trains. Batches of different sizes
// are compared by the rows that they have, not by their number.
const rowsAxis = "rows trained on (steps x batch)"

// inRows returns the points with rows in the place of optimizer steps.
func inRows(xys plotter.XYs, batch int) plotter.XYs {
	out := slices.Clone(xys)
	for i := range out {
		out[i].X *= float64(batch)
	}
	return out
}

// lossPanels draws one panel per phase.
func lossPanels(rows []Row) ([]*panel, error) {
	panels := curvePanels(rows, "training loss per example", lossCurve)
	sameHeight(panels, 0, 1e-3)
	return panels, nil
}

func accuracyPanels(rows []Row) ([]*panel, error) {
	panels := curvePanels(rows, "exact accuracy on test puzzles, %", accuracyCurve)
	for _, p := range panels {
		p.plot.Y.Min = 0
	}
	sameHeight(panels, 0.04, 1)
	return panels, nil
}

// curvePanels returns one panel per phase, with a line per seed of every experiment.
// The phase's reference is the black dashed line, even if it belongs to another phase.
// A line with marked points has a small mark at all others; one without them is smoothed.
func curvePanels(rows []Row, y string, read curve) []*panel {
	var panels []*panel
	for _, phase := range experiment.Phases {
		p := newPanel(phase, rowsAxis, y)
		for i, r := range phaseRows(rows, phase) {
			style := plotter.DefaultLineStyle
			style.Width, style.Color = vg.Points(1.2), lineColor(i)
			label, mark := r.Experiment, glyph(i)
			if r.Reference == "" {
				label += " (ref)"
				style.Color, style.Dashes = color.Black, []vg.Length{vg.Points(4), vg.Points(2)}
				mark.Color = color.Black
			}
			mark.Radius = vg.Points(2.6)
			small := mark
			small.Radius = vg.Points(1.3)
			drawn := false
			for _, res := range r.results {
				xys, marked := read(res)
				if xys = finite(xys); len(xys) == 0 {
					continue
				}
				batch := r.spec.GlobalBatchSize
				if len(marked) == 0 {
					raw := style
					raw.Color, raw.Width, raw.Dashes = faint(style.Color), vg.Points(0.5), nil
					p.plot.Add(&plotter.Line{XYs: inRows(xys, batch), LineStyle: raw})
					xys = smooth(xys, period(xys, r.spec.HaltMaxSteps))
				}
				l := &plotter.Line{XYs: inRows(xys, batch), LineStyle: style}
				p.plot.Add(l)
				thumbs := []plot.Thumbnailer{l}
				if len(marked) > 0 {
					full := &plotter.Scatter{XYs: inRows(finite(marked), batch), GlyphStyle: mark}
					p.plot.Add(&plotter.Scatter{XYs: l.XYs, GlyphStyle: small}, full)
					thumbs = append(thumbs, full)
				}
				if !drawn {
					p.add(label, thumbs...)
					drawn = true
				}
			}
		}
		if p.items > 0 {
			p.plot.X.Min = min(0, p.plot.X.Min)
			panels = append(panels, p)
		}
	}
	return panels
}

// faint returns a transparent version of c for lines in the background.
func faint(c color.Color) color.Color {
	opaque := color.RGBAModel.Convert(c).(color.RGBA)
	return color.NRGBA{opaque.R, opaque.G, opaque.B, 56}
}

// period returns the length of the smoothing window in steps: about a twentieth of the
// run, rounded to a multiple of haltMaxSteps, because rows that halt together make the
// loss a sawtooth of that length.
func period(xys plotter.XYs, haltMaxSteps int) float64 {
	halt := float64(max(haltMaxSteps, 1))
	return halt * max(1, math.Round(xys[len(xys)-1].X/20/halt))
}

// smooth replaces every point by the mean over a window of steps around it. At both
// ends of the run the window stays inside the run.
func smooth(xys plotter.XYs, window float64) plotter.XYs {
	out := make(plotter.XYs, len(xys))
	from, to, sum := 0, 0, 0.0
	first, last := xys[0].X+window/2, xys[len(xys)-1].X+1-window/2
	for i, xy := range xys {
		center := max(first, min(xy.X, last))
		for ; to < len(xys) && xys[to].X < center+window/2; to++ {
			sum += xys[to].Y
		}
		for ; xys[from].X < center-window/2 && from < i; from++ {
			sum -= xys[from].Y
		}
		out[i] = plotter.XY{X: xy.X, Y: sum / float64(to-from)}
	}
	return out
}

// sameHeight gives all panels the same vertical axis, which spans at least least plus a margin on both sides.
func sameHeight(panels []*panel, margin, least float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range panels {
		low, high = min(low, p.plot.Y.Min), max(high, p.plot.Y.Max)
	}
	high = max(high, low+least)
	for _, p := range panels {
		p.plot.Y.Min, p.plot.Y.Max = low-margin*(high-low), high+margin*(high-low)
	}
}

// phaseRows returns the rows of a phase that have results, followed by their references. Rows of the same run appear once.
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
