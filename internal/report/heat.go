package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// heatPanel draws the grid of T x n as labelled fields, which are darker if more puzzles were solved.
func heatPanel(rows []Row) ([]*panel, error) {
	cells := map[[2]int]float64{}
	namedT, namedN := map[int]int{}, map[int]int{} // value as run -> value in the experiment's name
	for _, r := range rows {
		t, n, ok := namedDepth(r.Experiment)
		if r.FinalExact == nil || !ok {
			continue
		}
		cells[[2]int{r.spec.LCycles, r.spec.HCycles}] = 100 * *r.FinalExact
		namedT[r.spec.HCycles], namedN[r.spec.LCycles] = t, n
	}
	if len(cells) < 2 {
		return nil, nil
	}
	var ns, ts []int
	low, high := math.Inf(1), 0.0
	for at, v := range cells {
		if !slices.Contains(ns, at[0]) {
			ns = append(ns, at[0])
		}
		if !slices.Contains(ts, at[1]) {
			ts = append(ts, at[1])
		}
		low, high = min(low, v), max(high, v)
	}
	slices.Sort(ns)
	slices.Sort(ts)
	p := newPanel("", "n (updates of z_L per recursion), as run", "T (recursions), as run")
	var dark, light plotter.XYLabels
	for i, n := range ns {
		for j, t := range ts {
			v, ok := cells[[2]int{n, t}]
			x, y := float64(i), float64(j)
			fill, text := color.RGBA{244, 244, 244, 255}, "not trained"
			labels := &dark
			if ok {
				depth := (v - low) / max(high-low, 1e-9)
				fill, text = blues(depth), fmt.Sprintf("%.2f", v)
				if depth > 0.5 {
					labels = &light
				}
			}
			poly, err := plotter.NewPolygon(plotter.XYs{
				{X: x - .48, Y: y - .46},
				{X: x + .48, Y: y - .46},
				{X: x + .48, Y: y + .46},
				{X: x - .48, Y: y + .46},
			})
			if err != nil {
				return nil, err
			}
			poly.Color, poly.LineStyle.Width = fill, 0
			p.plot.Add(poly)
			labels.XYs = append(labels.XYs, plotter.XY{X: x, Y: y})
			labels.Labels = append(labels.Labels, text)
		}
	}
	for _, l := range []struct {
		xys   plotter.XYLabels
		color color.Color
	}{{dark, color.Gray{30}}, {light, color.White}} {
		if err := p.write(l.xys, l.color, text.XCenter); err != nil {
			return nil, err
		}
	}
	p.plot.X.Tick.Marker, p.plot.Y.Tick.Marker = depths("n", ns, namedN), depths("T", ts, namedT)
	return []*panel{p}, nil
}

// blues maps 0 to light blue and 1 to dark blue.
func blues(depth float64) color.RGBA {
	mix := func(a, b float64) uint8 { return uint8(a + (b-a)*depth) }
	return color.RGBA{mix(222, 8), mix(235, 69), mix(247, 148), 255}
}

// depths labels values as they were run, with the value that the experiments are named after if it is another.
func depths(name string, run []int, names map[int]int) named {
	out := make(named, len(run))
	for i, x := range run {
		out[i] = fmt.Sprint(x)
		if names[x] != x {
			out[i] = fmt.Sprintf("%d (named %s%d)", x, strings.ToLower(name), names[x])
		}
	}
	return out
}

// write draws texts onto a panel.
func (p *panel) write(xys plotter.XYLabels, c color.Color, align text.XAlignment) error {
	if len(xys.Labels) == 0 {
		return nil
	}
	labels, err := plotter.NewLabels(xys)
	if err != nil {
		return err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font = p.legend.TextStyle.Font
		labels.TextStyle[i].Font.Size = vg.Points(9)
		labels.TextStyle[i].Color = c
		labels.TextStyle[i].XAlign, labels.TextStyle[i].YAlign = align, text.YCenter
	}
	p.plot.Add(labels)
	return nil
}
