package report

import (
	"image/color"
	"slices"

	"trmsweep/internal/protocol"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// bucketColors alternate between light and dark, so that neighbours differ in grey too.
var bucketColors = map[string]color.RGBA{
	protocol.BucketQueued: {220, 220, 220, 255}, protocol.BucketStarting: {150, 75, 0, 255},
	protocol.BucketCompiling: {230, 159, 0, 255}, protocol.BucketRestoring: {120, 94, 240, 255},
	protocol.BucketTraining: {0, 114, 178, 255}, protocol.BucketSaving: {240, 228, 66, 255},
	protocol.BucketEvaluating: {86, 180, 233, 255}, protocol.BucketLost: {160, 30, 30, 255},
}

// goodputPanel draws a bar of 100% per experiment, divided among the buckets.
func goodputPanel(rows []Row) ([]*panel, error) {
	p := newPanel("", "share of the wall clock, %", "")
	var names named
	seen := map[string]bool{}
	used := map[string]*plotter.Polygon{}
	for _, r := range slices.Backward(rows) {
		total := r.Seconds.Total()
		if total <= 0 || seen[r.SpecHash] {
			continue
		}
		seen[r.SpecHash] = true
		y, x := float64(len(names)), 0.0
		names = append(names, fitting(r.Experiment))
		for _, b := range protocol.Buckets {
			width := 100 * r.Seconds[b] / total
			if width <= 0 {
				continue
			}
			poly, err := plotter.NewPolygon(plotter.XYs{{X: x, Y: y - .4}, {X: x + width, Y: y - .4}, {X: x + width, Y: y + .4}, {X: x, Y: y + .4}})
			if err != nil {
				return nil, err
			}
			poly.Color, poly.LineStyle.Width, poly.LineStyle.Color = bucketColors[b], vg.Points(0.4), color.White
			p.plot.Add(poly)
			used[b] = poly
			x += width
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	for _, b := range protocol.Buckets {
		if used[b] != nil {
			p.add(b, used[b])
		}
	}
	p.plot.X.Min, p.plot.X.Max = 0, 100
	p.plot.Y.Min, p.plot.Y.Max = -0.6, float64(len(names))-0.4
	p.plot.Y.Tick.Marker = names
	p.plot.Y.Tick.Length = vg.Points(2)
	return []*panel{p}, nil
}
