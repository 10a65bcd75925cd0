package report

import (
	"fmt"
	"maps"
	"slices"

	"gonum.org/v1/plot/plotter"
)

// datasetPanels draws the histograms of ratings and of clues of every dataset.
func datasetPanels(rows []Row, sets Datasets) ([]*panel, error) {
	var panels []*panel
	for i, h := range datasetOrder(rows) {
		s := sets[h].Summary
		title := fmt.Sprintf("D%d (%.8s): %s training, %s test puzzles", i+1, h, whole(s.Train.Groups), whole(s.Test.Groups))
		for _, x := range []struct {
			axis        string
			train, test map[int]int
		}{{"rating (backtracks)", s.Train.Ratings, s.Test.Ratings}, {"clues (given digits)", s.Train.Clues, s.Test.Clues}} {
			p, err := histogram(title, x.axis, x.train, x.test)
			if err != nil {
				return nil, err
			}
			if p != nil {
				panels = append(panels, p)
			}
		}
	}
	return panels, nil
}

// minValues is the least number of values on an axis, so that a single value is drawn as a bar.
const minValues = 10

// axisOf returns the range of an axis that shows the values low to high, which must not be negative.
func axisOf(low, high int) (left, right int) {
	missing := max(0, minValues-(high-low+1))
	left = max(0, low-missing/2)
	return left, max(high, left+minValues-1)
}

// maxBins is the greatest number of bins of a histogram. Wider ranges have bins of several values.
const maxBins = 30

func histogram(title, axis string, train, test map[int]int) (*panel, error) {
	all := slices.Concat(slices.Collect(maps.Keys(train)), slices.Collect(maps.Keys(test)))
	if len(all) == 0 {
		return nil, nil
	}
	low, high := slices.Min(all), slices.Max(all)
	width := int(roundStep(float64(high-low+1) / maxBins))
	width = max(width, 1)
	p := newPanel(title, axis, "share of the puzzles, %")
	for i, split := range []struct {
		name   string
		counts map[int]int
	}{{"training", train}, {"test", test}} {
		bins, sum := map[int]float64{}, 0.0
		for v, n := range split.counts {
			bins[(v-low)/width] += float64(n)
			sum += float64(n)
		}
		if sum == 0 {
			continue
		}
		var bars *plotter.Polygon
		for _, bin := range slices.Sorted(maps.Keys(bins)) {
			n := bins[bin]
			from, to := barOf(low+bin*width, width, i)
			poly, err := plotter.NewPolygon(plotter.XYs{{X: from}, {X: from, Y: 100 * n / sum}, {X: to, Y: 100 * n / sum}, {X: to}})
			if err != nil {
				return nil, err
			}
			poly.Color, poly.LineStyle.Width = palette[i], 0
			p.plot.Add(poly)
			bars = poly
		}
		p.add(fmt.Sprintf("%s (%s)", split.name, whole(int64(sum))), bars)
	}
	left, right := axisOf(low, high)
	p.plot.X.Min, p.plot.X.Max = float64(left), float64(right+1)
	p.plot.Y.Min = 0
	p.plot.Y.Max *= 1.05 // no bar touches the frame
	if width > 1 {
		p.plot.X.Label.Text += fmt.Sprintf(", %d values a bar, from its left end on", width)
	} else {
		p.plot.X.Label.Text += ", bars right of their value"
	}
	return p, nil
}

// barOf returns the sides of bar number i of the values from one on: it stands right of the first one.
func barOf(first, values, i int) (from, to float64) {
	const margin, share = 0.1, 0.4 // of the room of these values
	from = float64(first) + (margin+share*float64(i))*float64(values)
	return from, from + share*float64(values)
}
