package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
)

// roundTicks marks some three to seven round numbers, thousands separated.
type roundTicks struct{}

func (roundTicks) Ticks(low, high float64) []plot.Tick {
	step := roundStep((high - low) / 6)
	var out []plot.Tick
	for k := math.Ceil(low/step - 1e-9); k*step <= high+1e-9*step; k++ {
		out = append(out, plot.Tick{Value: k * step, Label: label(k*step, step)})
	}
	return out
}

// roundStep is the nearest of 1, 2, 5 times a power of ten that is not smaller.
func roundStep(x float64) float64 {
	if !(x > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// label writes a number with the digits that its step needs.
func label(v, step float64) string {
	if math.Abs(v) < step/2 {
		v = 0 // not -0
	}
	if step >= 1 {
		return whole(int64(math.Round(v)))
	}
	return fmt.Sprintf("%.*f", int(math.Ceil(-math.Log10(step)-1e-9)), v)
}

// logTicks marks the powers of ten, and 2 and 5 times them where they are few.
type logTicks struct{}

func (logTicks) Ticks(low, high float64) []plot.Tick {
	var out []plot.Tick
	decades := math.Log10(high / low)
	every := math.Ceil(decades / 8)
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, m := range []float64{1, 2, 3, 4, 5, 6, 7, 8, 9} {
			v := m * math.Pow(10, e)
			if v < low*(1-1e-9) || v > high*(1+1e-9) {
				continue
			}
			t := plot.Tick{Value: v}
			switch {
			case m == 1 && math.Mod(e, every) == 0, decades < 2.5 && (m == 2 || m == 5), decades < 0.8:
				t.Label = short(v)
			}
			out = append(out, t)
		}
	}
	return out
}

// short writes a round number of any size in few characters.
func short(v float64) string {
	if v >= 1e6 || v < 1e-3 {
		return fmt.Sprintf("%.0e", v)
	}
	if v >= 1 {
		return whole(int64(math.Round(v)))
	}
	return fmt.Sprintf("%.1g", v)
}

// named marks the places 0, 1, 2... with names.
type named []string

func (n named) Ticks(low, high float64) []plot.Tick {
	var out []plot.Tick
	for i, name := range n {
		if v := float64(i); v >= low && v <= high {
			out = append(out, plot.Tick{Value: v, Label: name})
		}
	}
	return out
}

// logAxis makes an axis logarithmic with room at both ends.
func logAxis(a *plot.Axis) {
	a.Scale, a.Tick.Marker = plot.LogScale{}, logTicks{}
	a.Min, a.Max = a.Min/1.5, a.Max*1.5
}
