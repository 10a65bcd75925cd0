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

func computePanel(rows []Row) ([]*panel, error) {
	most := 0.0
	for _, r := range rows {
		most = max(most, r.TotalFLOPs)
	}
	unit, size := "GFLOP", 1e9
	for _, u := range []string{"TFLOP", "PFLOP", "EFLOP", "ZFLOP"} {
		if most >= 3000*size {
			unit, size = u, size*1000
		}
	}
	p := newPanel("", "work of the run, "+unit+" (log)", "best exact accuracy, %")
	xys := scatterRows(p, rows, func(r Row, res protocol.RunResult) (plotter.XY, bool) {
		best, _ := res.BestEval()
		return plotter.XY{X: r.TotalFLOPs / size, Y: 100 * best.ExactAccuracy}, r.TotalFLOPs > 0
	})
	if len(xys) == 0 {
		return nil, nil
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

// otherHardware is the ratio of actual to predicted time from which on the prediction
// was evidently made for other hardware.
const otherHardware = 20

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

// hoursPanel draws actual against predicted times, with the line of equality. If the
// prediction was made for other hardware, predictions are scaled by the median ratio.
func hoursPanel(rows []Row) ([]*panel, error) {
	median, runs := medianRatio(rows)
	if runs == 0 {
		return nil, nil
	}
	scale, scaled := 1.0, ""
	if median > otherHardware || median < 1.0/otherHardware {
		scale, scaled = median, ", plan scaled"
	}
	longest := 0.0
	for _, r := range rows {
		longest = max(longest, r.inSlot())
	}
	unit, length := unitOf(longest)
	p := newPanel("", "predicted "+unit+scaled+" (log)", "actual "+unit+" (log)")
	xys := scatterRows(p, rows, func(r Row, res protocol.RunResult) (plotter.XY, bool) {
		xy, ok := timing(r, res)
		return plotter.XY{X: scale * xy.X / length, Y: xy.Y / length}, ok
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
	note := "Time in a slot against the plan's prediction from the run's work"
	switch {
	case runs == 0:
		return ""
	case median > otherHardware || median < 1.0/otherHardware:
		return fmt.Sprintf("%s. The plan is for one TPU v4 chip at %.1f%% of its peak; these %d runs took %s times as long (median), "+
			"by which the predictions are scaled here: how far marks lie from the line is how unlike the runs are.",
			note, 100*experiment.DefaultUtilisation, runs, ratio(median))
	}
	return fmt.Sprintf("%s for one TPU v4 chip at %.1f%% of its peak, unless the run recorded its own. "+
		"Median of actual / predicted over %d runs: %s.", note, 100*experiment.DefaultUtilisation, runs, ratio(median))
}
