package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"

	"trmsweep/internal/experiment"
)

// scatterRows adds the points of every row, shared runs once.
func scatterRows(p *panel, rows []Row, read func(Row, RunResult) (plotter.XY, bool)) (plotter.XYs, error) {
	var all plotter.XYs
	seen := map[string]bool{}
	for _, r := range rows {
		var xys plotter.XYs
		for _, res := range r.results {
			if xy, ok := read(r, res); ok && !seen[r.SpecHash] {
				xys = append(xys, xy)
			}
		}
		if xys = finite(xys); len(xys) == 0 {
			continue
		}
		seen[r.SpecHash] = true
		s, err := plotter.NewScatter(xys)
		if err != nil {
			return nil, err
		}
		n := len(seen) - 1
		s.Color, s.Shape, s.Radius = lineColor(n), plotutil.Shape(n/len(palette)), vg.Points(3.5)
		p.plot.Add(s)
		p.add(r.Experiment, s)
		all = append(all, xys...)
	}
	return all, nil
}

func computePanel(rows []Row) ([]*panel, error) {
	p := newPanel("", "training work, TFLOP (log)", "best exact accuracy, %")
	xys, err := scatterRows(p, rows, func(r Row, res RunResult) (plotter.XY, bool) {
		best, _ := res.best()
		return plotter.XY{X: r.TotalFLOPs / 1e12, Y: 100 * best.ExactAccuracy}, r.TotalFLOPs > 0
	})
	if err != nil || len(xys) == 0 {
		return nil, err
	}
	logAxis(&p.plot.X)
	p.plot.Y.Min, p.plot.Y.Max = min(0, p.plot.Y.Min), max(1, p.plot.Y.Max*1.05)
	return []*panel{p}, nil
}

// hoursPanel sets actual hours against predicted ones, with the line of equality
// and that of the median ratio.
func hoursPanel(rows []Row) ([]*panel, error) {
	p := newPanel("", "predicted hours (log)", "actual hours (log)")
	xys, err := scatterRows(p, rows, func(r Row, res RunResult) (plotter.XY, bool) {
		predicted := orElse(res.PredictedHours, r.spec.EstimatedHours(experiment.V4Host))
		return plotter.XY{X: predicted, Y: res.WallSeconds / 3600}, predicted > 0 && res.WallSeconds > 0
	})
	if err != nil || len(xys) == 0 {
		return nil, err
	}
	ratios := make([]float64, len(xys))
	for i, xy := range xys {
		ratios[i] = xy.Y / xy.X
	}
	slices.Sort(ratios)
	median := quantile(ratios, 0.5)
	from, to := p.plot.X.Min/1.5, p.plot.X.Max*1.5
	for _, line := range []struct {
		name   string
		factor float64
		dashes []vg.Length
	}{{"as predicted", 1, nil}, {fmt.Sprintf("median ratio %.3g", median), median, []vg.Length{vg.Points(3), vg.Points(2)}}} {
		l := &plotter.Line{XYs: plotter.XYs{{X: from, Y: from * line.factor}, {X: to, Y: to * line.factor}}, LineStyle: plotter.DefaultLineStyle}
		l.Color, l.Dashes = color.Gray{120}, line.dashes
		p.plot.Add(l)
		p.add(line.name, l)
	}
	logAxis(&p.plot.X)
	logAxis(&p.plot.Y)
	return []*panel{p}, nil
}

// heatPanel is the T x n grid as labelled squares, darker where more is solved.
func heatPanel(rows []Row) ([]*panel, error) {
	cells := map[[2]int]float64{}
	for _, r := range rows {
		if r.BestExactAccuracy != nil && strings.HasPrefix(r.Experiment, "e2_2_") {
			cells[[2]int{r.spec.LCycles, r.spec.HCycles}] = 100 * *r.BestExactAccuracy
		}
	}
	if len(cells) < 2 {
		return nil, nil
	}
	p := newPanel("", "n (updates of z_L per recursion)", "T (recursions)")
	var xys plotter.XYLabels
	low, high := math.Inf(1), 0.0
	for _, v := range cells {
		low, high = min(low, v), max(high, v)
	}
	for n := range 33 {
		for t := range 17 {
			v, ok := cells[[2]int{n, t}]
			if !ok {
				continue
			}
			x, y := float64(n), float64(t)
			poly, err := plotter.NewPolygon(plotter.XYs{{X: x - .45, Y: y - .45}, {X: x + .45, Y: y - .45}, {X: x + .45, Y: y + .45}, {X: x - .45, Y: y + .45}})
			if err != nil {
				return nil, err
			}
			depth := (v - low) / max(high-low, 1e-9)
			shade := uint8(235 - 130*depth)
			poly.Color, poly.LineStyle.Width = color.RGBA{shade, shade, 255, 255}, 0
			p.plot.Add(poly)
			xys.XYs = append(xys.XYs, plotter.XY{X: x, Y: y})
			xys.Labels = append(xys.Labels, fmt.Sprintf("%.1f", v))
		}
	}
	labels, err := plotter.NewLabels(xys)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font = p.legend.TextStyle.Font
		labels.TextStyle[i].Font.Size = vg.Points(10)
		labels.TextStyle[i].XAlign, labels.TextStyle[i].YAlign = text.XCenter, text.YCenter
	}
	p.plot.Add(labels)
	p.plot.X.Tick.Marker, p.plot.Y.Tick.Marker = wholeTicks{}, wholeTicks{}
	return []*panel{p}, nil
}

// wholeTicks marks every whole number.
type wholeTicks struct{}

func (wholeTicks) Ticks(low, high float64) []plot.Tick {
	var out []plot.Tick
	for v := math.Ceil(low); v <= high; v++ {
		out = append(out, plot.Tick{Value: v, Label: fmt.Sprint(v)})
	}
	return out
}
