package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
)

// roundTicks places three to seven ticks at round numbers, with separated thousands.
type roundTicks struct{}

func (roundTicks) Ticks(low, high float64) []plot.Tick {
	step := roundStep((high - low) / 6)
	var out []plot.Tick
	for k := math.Ceil(low/step - 1e-9); k*step <= high+1e-9*step; k++ {
		out = append(out, plot.Tick{Value: k * step, Label: label(k*step, step)})
	}
	return out
}

// roundStep returns the smallest of 1, 2 and 5 times a power of ten that is not below x.
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

// label formats a tick with as many decimals as the distance between ticks needs.
func label(v, step float64) string {
	if math.Abs(v) < step/2 {
		v = 0 // avoids "-0"
	}
	const million = 1e6
	if step >= million && v != 0 {
		return whole(int64(math.Round(v/million))) + " M"
	}
	if step >= 1 {
		return whole(int64(math.Round(v)))
	}
	return fmt.Sprintf("%.*f", int(math.Ceil(-math.Log10(step)-1e-9)), v)
}

// logTicks labels the powers of ten, and 2 and 5 times them if the axis has few decades.
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
			power := m == 1 && math.Mod(e, every) == 0
			between := m == 2 || m == 5
			switch {
			case power, between && decades < 2.5, decades < 0.8:
				t.Label = short(v)
			}
			out = append(out, t)
		}
	}
	return out
}

// short formats a round number of any size in few characters.
func short(v float64) string {
	if v >= 1e6 || v < 1e-3 {
		return fmt.Sprintf("%.0e", v)
	}
	if v >= 1 {
		return whole(int64(math.Round(v)))
	}
	return fmt.Sprintf("%.1g", v)
}

// named labels the positions 0, 1, 2... with names.
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

// logAxis makes an axis logarithmic with a margin at both ends.
func logAxis(a *plot.Axis) {
	a.Scale, a.Tick.Marker = plot.LogScale{}, logTicks{}
	a.Min, a.Max = a.Min/1.5, a.Max*1.5
}
