package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// figure is a plot as a file of the report.
type figure struct {
	Name, Title string
	SVG, PNG    []byte
}

func render(name string, p *plot.Plot) (figure, error) {
	f := figure{Name: name, Title: p.Title.Text}
	for _, format := range []struct {
		ext string
		out *[]byte
	}{{"svg", &f.SVG}, {"png", &f.PNG}} {
		w, err := p.WriterTo(9*vg.Inch, 4.5*vg.Inch, format.ext)
		if err != nil {
			return f, fmt.Errorf("draw %s: %w", name, err)
		}
		var b bytes.Buffer
		if _, err := w.WriteTo(&b); err != nil {
			return f, fmt.Errorf("draw %s: %w", name, err)
		}
		*format.out = b.Bytes()
	}
	return f, nil
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Legend.Top, p.Legend.Left = true, false
	p.Legend.TextStyle.Font.Size = 8
	p.Add(plotter.NewGrid())
	return p
}

// figures draws what the rows have data for.
func figures(rows []Row) ([]figure, error) {
	var out []figure
	for _, draw := range []func([]Row) (string, *plot.Plot, error){lossPlot, accuracyPlot, computePlot, heatPlot} {
		name, p, err := draw(rows)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", name, err)
		}
		if p == nil {
			continue
		}
		f, err := render(name, p)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// lines adds one line per finished experiment; shared runs are drawn once.
func lines(p *plot.Plot, rows []Row, points func(RunResult) plotter.XYs) (int, error) {
	n := 0
	seen := map[string]bool{}
	for _, r := range rows {
		if len(r.results) == 0 || seen[r.SpecHash] {
			continue
		}
		seen[r.SpecHash] = true
		xys := finite(points(r.results[0]))
		if len(xys) == 0 {
			continue
		}
		l, err := plotter.NewLine(xys)
		if err != nil {
			return 0, err
		}
		l.Color, l.Dashes, l.Width = plotutil.Color(n), plotutil.Dashes(n/7), vg.Points(1.3)
		p.Add(l)
		p.Legend.Add(r.Experiment, l)
		n++
	}
	return n, nil
}

func finite(xys plotter.XYs) plotter.XYs {
	var out plotter.XYs
	for _, p := range xys {
		if !math.IsNaN(p.X+p.Y) && !math.IsInf(p.X+p.Y, 0) {
			out = append(out, p)
		}
	}
	return out
}

func lossPlot(rows []Row) (string, *plot.Plot, error) {
	p := newPlot("Training loss", "optimizer step", "loss per example")
	n, err := lines(p, rows, func(r RunResult) plotter.XYs {
		var xys plotter.XYs
		for _, c := range r.Curve {
			xys = append(xys, plotter.XY{X: c[0], Y: c[1]})
		}
		return xys
	})
	return "loss", orNone(p, n), err
}

func accuracyPlot(rows []Row) (string, *plot.Plot, error) {
	p := newPlot("Cell and exact accuracy on held-out puzzles: exact", "optimizer step", "exact accuracy, %")
	p.Title.Text = "Exact accuracy on held-out puzzles"
	n, err := lines(p, rows, func(r RunResult) plotter.XYs {
		var xys plotter.XYs
		for _, e := range r.Evals {
			xys = append(xys, plotter.XY{X: float64(e.Step), Y: 100 * e.ExactAccuracy})
		}
		return append(xys, plotter.XY{X: float64(r.Final.Step), Y: 100 * r.Final.ExactAccuracy})
	})
	return "exact_accuracy", orNone(p, n), err
}

func computePlot(rows []Row) (string, *plot.Plot, error) {
	p := newPlot("Accuracy against compute", "training work, TFLOP (log)", "best exact accuracy, %")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	n := 0
	for _, r := range rows {
		if r.BestExactAccuracy == nil || r.TotalFLOPs <= 0 {
			continue
		}
		s, err := plotter.NewScatter(plotter.XYs{{X: r.TotalFLOPs / 1e12, Y: 100 * *r.BestExactAccuracy}})
		if err != nil {
			return "compute", nil, err
		}
		s.Color, s.Shape = plotutil.Color(n), plotutil.Shape(n/7)
		p.Add(s)
		p.Legend.Add(r.Experiment, s)
		n++
	}
	if n > 0 && p.X.Min == p.X.Max { // plot would widen it to below zero, where there are no logarithms
		p.X.Min, p.X.Max = p.X.Min/2, p.X.Max*2
	}
	return "compute", orNone(p, n), nil
}

// heatPlot is the T x n grid as labelled squares, darker where more is solved.
func heatPlot(rows []Row) (string, *plot.Plot, error) {
	p := newPlot("Best exact accuracy over T x n, %", "n (updates of z_L)", "T (recursions)")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 9, 0.5, 5.5
	cells := map[[2]int]float64{}
	for _, r := range rows {
		if r.BestExactAccuracy != nil && tnRow(r) {
			cells[[2]int{r.spec.LCycles, r.spec.HCycles}] = 100 * *r.BestExactAccuracy
		}
	}
	for n := range 10 {
		for t := range 8 {
			v, ok := cells[[2]int{n, t}]
			if !ok {
				continue
			}
			x, y := float64(n), float64(t)
			poly, err := plotter.NewPolygon(plotter.XYs{{X: x - .45, Y: y - .45}, {X: x + .45, Y: y - .45}, {X: x + .45, Y: y + .45}, {X: x - .45, Y: y + .45}})
			if err != nil {
				return "tn", nil, err
			}
			shade := uint8(255 - 1.3*v)
			poly.Color = color.RGBA{shade, shade, 255, 255}
			label, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: x - .3, Y: y - .1}}, Labels: []string{fmt.Sprintf("%.1f", v)}})
			if err != nil {
				return "tn", nil, err
			}
			p.Add(poly, label)
		}
	}
	if len(cells) < 2 {
		return "tn", nil, nil
	}
	return "tn", p, nil
}

// tnRow says whether the experiment is a point of the recursion grid.
func tnRow(r Row) bool {
	return len(r.Experiment) > 5 && r.Experiment[:5] == "e2_2_"
}

func orNone(p *plot.Plot, n int) *plot.Plot {
	if n == 0 {
		return nil
	}
	return p
}
