package report

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
)

// scatterRows adds one point per result. Results that several rows share appear once.
func scatterRows(p *panel, rows []Row, read func(Row, protocol.RunResult) (plotter.XY, bool)) plotter.XYs {
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
		s := &plotter.Scatter{XYs: xys, GlyphStyle: glyph(len(seen))}
		seen[r.SpecHash] = true
		p.plot.Add(s)
		p.add(r.Experiment, s)
		all = append(all, xys...)
	}
	return all
}

// flopUnit returns the name and the size of a unit that suits amounts of work up to this one.
func flopUnit(most float64) (name string, size float64) {
	name, size = "GFLOP", 1e9
	for _, u := range []string{"TFLOP", "PFLOP", "EFLOP", "ZFLOP"} {
		if most >= 3000*size {
			name, size = u, size*1000
		}
	}
	return name, size
}

// interval is a point with an error bar.
type interval struct {
	plotter.XYs
	plotter.YErrors
}

func computePanel(rows []Row) ([]*panel, error) {
	most := 0.0
	for _, r := range rows {
		most = max(most, r.TrainingFLOPs)
	}
	unit, size := flopUnit(most)
	p := newPanel("", "compute of the training, "+unit+" (log)", "final exact accuracy, %")
	var bars interval
	xys := scatterRows(p, rows, func(r Row, res protocol.RunResult) (plotter.XY, bool) {
		xy := plotter.XY{X: r.TrainingFLOPs / size, Y: 100 * res.Final.ExactAccuracy}
		if ci := finalInterval(res); ci != [2]float64{} {
			bars.XYs = append(bars.XYs, xy)
			bars.YErrors = append(bars.YErrors, struct{ Low, High float64 }{xy.Y - 100*ci[0], 100*ci[1] - xy.Y})
		}
		return xy, r.TrainingFLOPs > 0
	})
	if len(xys) == 0 {
		return nil, nil
	}
	if len(bars.XYs) > 0 {
		e, err := plotter.NewYErrorBars(bars)
		if err != nil {
			return nil, err
		}
		e.LineStyle.Color, e.LineStyle.Width, e.CapWidth = color.Gray{150}, vg.Points(0.6), vg.Points(3)
		p.plot.Add(e)
	}
	logAxis(&p.plot.X)
	p.plot.Y.Min = 0
	sameHeight([]*panel{p}, 0.04, 1)
	return []*panel{p}, nil
}

// timing returns the predicted (X) and actual (Y) time of a run in seconds.
func timing(r Row, res protocol.RunResult) (xy plotter.XY, ok bool) {
	xy.X = 3600 * orElse(res.PredictedHours, r.spec.EstimatedHours(experiment.V4Chip))
	xy.Y = r.accounting(res).InSlot()
	return xy, xy.X > 0 && xy.Y > 0
}

// medianRatio returns the median of actual / predicted time over the runs, and the number of runs.
func medianRatio(rows []Row) (median float64, runs int) {
	var ratios []float64
	seen := map[string]bool{}
	for _, r := range rows {
		for _, res := range r.results {
			if xy, ok := timing(r, res); ok && !seen[res.Run] {
				ratios = append(ratios, xy.Y/xy.X)
				seen[res.Run] = true
			}
		}
	}
	if len(ratios) == 0 {
		return 0, 0
	}
	slices.Sort(ratios)
	return quantile(ratios, 0.5), len(ratios)
}

// predictedElsewhere says whether the predictions were evidently made for other hardware: the
// median of actual / predicted time is far from 1.
func predictedElsewhere(rows []Row) bool {
	const otherHardware = 20
	median, runs := medianRatio(rows)
	far := median > otherHardware || median < 1.0/otherHardware
	return runs > 0 && far
}

// unitOf returns the name and the length in seconds of a unit that suits times up to this value.
func unitOf(seconds float64) (name string, length float64) {
	switch {
	case seconds >= 3*3600:
		return "hours", 3600
	case seconds >= 300:
		return "minutes", 60
	}
	return "seconds", 1
}

// hoursPanel draws actual against predicted times, with the line of equality, unless the
// predictions were made for other hardware.
func hoursPanel(rows []Row) ([]*panel, error) {
	if predictedElsewhere(rows) {
		return nil, nil
	}
	longest := 0.0
	for _, r := range rows {
		longest = max(longest, r.inSlot())
	}
	unit, length := unitOf(longest)
	p := newPanel("", "predicted "+unit+" (log)", "actual "+unit+" (log)")
	xys := scatterRows(p, rows, func(r Row, res protocol.RunResult) (plotter.XY, bool) {
		xy, ok := timing(r, res)
		return plotter.XY{X: xy.X / length, Y: xy.Y / length}, ok
	})
	if len(xys) == 0 {
		return nil, nil
	}
	low, high := min(p.plot.X.Min, p.plot.Y.Min), max(p.plot.X.Max, p.plot.Y.Max)
	line := &plotter.Line{XYs: plotter.XYs{{X: low / 1.4, Y: low / 1.4}, {X: high * 1.4, Y: high * 1.4}}, LineStyle: plotter.DefaultLineStyle}
	line.Color, line.Dashes = color.Gray{120}, []vg.Length{vg.Points(3), vg.Points(2)}
	p.plot.Add(line)
	p.add("as predicted", line)
	logAxis(&p.plot.X)
	logAxis(&p.plot.Y)
	return []*panel{p}, nil
}

func hoursNote(rows []Row) string {
	median, runs := medianRatio(rows)
	return fmt.Sprintf("Time in a slot against the plan's prediction from the run's work for one TPU v4 chip at %.1f%% of its peak, "+
		"unless the run recorded its own. Median of actual / predicted over %d runs: %s.", 100*experiment.DefaultUtilisation, runs, ratio(median))
}
