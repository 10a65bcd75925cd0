package trm

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

	"trmsweep/internal/tensor"
)

// The tests here feed every formula the inputs at which a formula breaks, and compare values and gradients with plain float64 Go.
// A loss is also computed in float32, which has the range that float64 has on a TPU.

// huge has a square and a product with its square root in float32.
const huge = 1e18

// largest is the largest float32.
const largest = math.MaxFloat32

// tinyLoss is what a value may lose where a processor takes denormal numbers for zero.
const tinyLoss = 0x1p-125

// specials are the inputs of one float type up to a bound.
func specials(dt tensor.DType, bound float64) []float64 {
	step := 0x1p-23
	if dt == tensor.BF16 {
		step = 0x1p-7
	}
	var v []float64
	for _, x := range []float64{0, 1, 1 + step, 1 - step/2, 0.5, 3, 30, 100, 0x1p-126, 0x1p-130, 1e-20, 1e-9, 1e9, huge, largest} {
		if x = roundTo(dt, x); x <= bound {
			v = append(v, x, -x)
		}
	}
	return v
}

// roundTo rounds to the nearest value of the type, towards zero where that overflows.
func roundTo(dt tensor.DType, x float64) float64 {
	if dt != tensor.BF16 {
		return float64(float32(x))
	}
	b := math.Float32bits(float32(x))
	up := b + 0x7fff + b>>16&1
	if y := math.Float32frombits(up &^ 0xffff); !math.IsInf(float64(y), 0) {
		return float64(y)
	}
	return float64(math.Float32frombits(b &^ 0xffff))
}

// floatArray holds values that the type has.
func floatArray(dt tensor.DType, v []float64, shape ...int) tensor.Array {
	if dt == tensor.F32 {
		return fromFloats(v, shape)
	}
	a := zeros(dt, shape...)
	for i, x := range v {
		binary.LittleEndian.PutUint16(a.Data[2*i:], uint16(math.Float32bits(float32(x))>>16))
	}
	return a
}

// checkEach holds each value within rel of scale, and says which input it was.
func checkEach(t *testing.T, what string, in, got, want, scale []float64, rel float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	width := len(in) / len(got) // of the inputs of one value
	for i := range want {
		bound := rel*max(math.Abs(want[i]), scale[i]) + tinyLoss
		if d := math.Abs(got[i] - want[i]); !(d <= bound) {
			t.Errorf("%s of %v (number %d): %v, want %v within %.2g", what, in[i*width:(i+1)*width], i, got[i], want[i], bound)
		}
	}
}

// precision is the relative error of one rounding, a few times over.
func precision(dt tensor.DType) float64 {
	if dt == tensor.BF16 {
		return 0x1p-7
	}
	return 0x1p-20
}

// eachType runs the test on every backend in every type of the forward pass.
func eachType(t *testing.T, f func(t *testing.T, dt tensor.DType)) {
	t.Helper()
	onEach(t, func(t *testing.T) {
		for _, dt := range []tensor.DType{tensor.F32, tensor.BF16} {
			t.Run(string(dt), func(t *testing.T) { f(t, dt) })
		}
	})
}

// crossEntropyRows are logits with every special input at the label, beside the label, and everywhere.
func crossEntropyRows(dt tensor.DType, bound float64) (rows [][]float64, labels []int) {
	add := func(label int, row ...float64) { rows, labels = append(rows, row), append(labels, label) }
	for _, x := range specials(dt, bound) {
		add(0, x, 0.5, -0.5, 1)
		add(1, x, 0.5, -0.5, 1)
		add(2, x, -x, 1, x)
		add(3, x, x, x, x)
	}
	return rows, labels
}

// stableLoss is a loss of one cell, its gradient, and the size of the terms that cancel in it.
func stableLoss(loss string, row []float64, label int) (value float64, grad, scale []float64) {
	s := make([]float64, len(row))
	slope := make([]float64, len(row))
	total := 0.0
	most := slices.Max(row)
	for k, x := range row {
		switch {
		case loss == "softmax_cross_entropy":
			s[k] = math.Exp(x - most)
			slope[k] = s[k]
		case x < 0:
			s[k], slope[k] = 1/(1-x), 1/(1-x)/(1-x)
		default:
			s[k], slope[k] = 1+x, 1
		}
		total += s[k]
	}
	grad, scale = make([]float64, len(row)), make([]float64, len(row))
	for k := range row {
		grad[k] = slope[k] / total
	}
	own := 1.0 // slope/s of the label
	value = math.Log(total) - (row[label] - most)
	if loss != "softmax_cross_entropy" {
		own = slope[label] / s[label]
		value = math.Log(total) - math.Log(s[label])
	}
	scale[label] = own + grad[label]
	grad[label] -= own
	return value, grad, scale
}

func TestSpecialCrossEntropy(t *testing.T) {
	eachType(t, func(t *testing.T, dt tensor.DType) {
		for _, loss := range []string{"stablemax_cross_entropy", "softmax_cross_entropy"} {
			for _, wide := range []struct {
				name       string
				dt         dtypes.DType
				bound, rel float64
			}{{"float64", dtypes.Float64, largest, 1e-12}, {"range of a TPU", dtypes.Float32, huge, 1e-5}} {
				t.Run(loss+"/"+wide.name, func(t *testing.T) {
					rows, labels := crossEntropyRows(dt, wide.bound)
					in := slices.Concat(rows...)
					hot := zeros(tensor.I32, len(labels))
					for i, l := range labels {
						hot.Data[4*i] = byte(l)
					}
					c := Config{LossType: loss}
					out := runUnit(t, []tensor.Array{floatArray(dt, in, len(rows), 4), hot}, func(in []*Node) []*Node {
						l := c.crossEntropy(in[0], oneHot(in[1], 4, wide.dt))
						return []*Node{ConvertDType(l, dtypes.Float64), Gradient(ReduceAllSum(l), in[0])[0]}
					})
					var want, grads, scale, gradScale []float64
					for i, row := range rows {
						v, g, s := stableLoss(loss, row, labels[i])
						want, grads = append(want, v), append(grads, g...)
						scale, gradScale = append(scale, 1), append(gradScale, s...)
					}
					checkEach(t, "loss", in, out[0], want, scale, wide.rel)
					checkEach(t, "gradient", in, out[1], grads, gradScale, max(wide.rel, precision(dt)))
				})
			}
		}
	})
}

func TestSpecialBinaryCrossEntropy(t *testing.T) {
	onEach(t, func(t *testing.T) {
		for _, wide := range []struct {
			name string
			dt   dtypes.DType
			rel  float64
		}{{"float64", dtypes.Float64, 1e-12}, {"range of a TPU", dtypes.Float32, 1e-6}} {
			t.Run(wide.name, func(t *testing.T) {
				var x, target, want, grads, scale []float64
				for _, v := range specials(tensor.F32, largest) {
					for _, to := range []float64{0, 0.25, 1} {
						p := 1 / (1 + math.Exp(-v))
						x, target, grads = append(x, v), append(target, to), append(grads, p-to)
						want = append(want, max(v, 0)-v*to+math.Log1p(math.Exp(-math.Abs(v))))
						scale = append(scale, 1+math.Abs(v))
					}
				}
				ones := slices.Repeat([]float64{1}, len(x))
				inputs := []tensor.Array{fromFloats(x, []int{len(x)}), fromFloats(target, []int{len(x)})}
				out := runUnit(t, inputs, func(in []*Node) []*Node {
					l := bce(in[0], ConvertDType(in[1], wide.dt))
					return []*Node{ConvertDType(l, dtypes.Float64), Gradient(ReduceAllSum(l), in[0])[0]}
				})
				checkEach(t, "loss", x, out[0], want, scale, wide.rel)
				checkEach(t, "gradient", x, out[1], grads, ones, 1e-6)
			})
		}
	})
}

func TestSpecialRMSNorm(t *testing.T) {
	eachType(t, func(t *testing.T, dt tensor.DType) {
		const eps, width = 1e-5, 4
		dy := []float64{1, -2, 3, 0.5}
		var in, outer, want, grads, scale, lost []float64
		for _, x := range specials(dt, huge) {
			for _, row := range [][]float64{{x, x, x, x}, {x, 0, 0, 0}, {1, x, -0.5, -x}} {
				mean, dot := 0.0, 0.0
				for k, v := range row {
					mean += v * v / width
					dot += dy[k] * v / width
				}
				d := math.Sqrt(mean + eps)
				for k, v := range row {
					cancel := v / d * (dot / d) / d
					in, outer = append(in, v), append(outer, dy[k])
					want, grads = append(want, v/d), append(grads, dy[k]/d-cancel)
					lost = append(lost, tinyLoss/math.Sqrt(eps)/precision(dt)) // a denormal input, taken for zero
					scale = append(scale, 3/d)
				}
			}
		}
		rows := len(in) / width
		out := runUnit(t, []tensor.Array{floatArray(dt, in, rows, width), floatArray(dt, outer, rows, width)}, func(in []*Node) []*Node {
			y := rmsNorm(in[0], eps)
			return []*Node{y, Gradient(dotted(y, in[1]), in[0])[0]}
		})
		checkEach(t, "norm", in, out[0], want, lost, precision(dt))
		checkEach(t, "gradient", in, out[1], grads, scale, precision(dt))
	})
}

func TestSpecialSiLU(t *testing.T) {
	eachType(t, func(t *testing.T, dt tensor.DType) {
		in := specials(dt, largest)
		var want, grads []float64
		for _, x := range in {
			p := 1 / (1 + math.Exp(-x))
			if p == 0 { // x*p is zero there, not the product of infinity and zero
				want, grads = append(want, 0), append(grads, 0)
				continue
			}
			want, grads = append(want, x*p), append(grads, p*(1+x*(1-p)))
		}
		ones := slices.Repeat([]float64{1}, len(in))
		out := runUnit(t, []tensor.Array{floatArray(dt, in, len(in))}, func(in []*Node) []*Node {
			y := silu(in[0])
			return []*Node{y, Gradient(ReduceAllSum(y), in[0])[0]}
		})
		checkEach(t, "silu", in, out[0], want, make([]float64, len(in)), precision(dt))
		checkEach(t, "gradient", in, out[1], grads, ones, precision(dt))
	})
}

func TestSpecialSoftmax(t *testing.T) {
	onEach(t, func(t *testing.T) {
		const width = 4
		dy := []float64{1, -2, 3, 0.5}
		var in, outer, want, grads, scale []float64
		for _, x := range specials(tensor.F32, largest) {
			for _, row := range [][]float64{{x, x, x, x}, {x, 0, -x, 1}, {x, x, 0.5, -0.5}} {
				most, total, dot := slices.Max(row), 0.0, 0.0
				for _, v := range row {
					total += math.Exp(v - most)
				}
				for k, v := range row {
					p := math.Exp(v-most) / total
					dot += p * dy[k]
					want = append(want, p)
				}
				for k := range row {
					p := want[len(want)-width+k]
					in = append(in, row[k])
					outer = append(outer, dy[k])
					grads = append(grads, p*(dy[k]-dot))
					scale = append(scale, 4*p)
				}
			}
		}
		rows := len(in) / width
		inputs := []tensor.Array{fromFloats(in, []int{rows, width}), fromFloats(outer, []int{rows, width})}
		out := runUnit(t, inputs, func(in []*Node) []*Node {
			y := softmax(in[0])
			return []*Node{y, Gradient(dotted(y, in[1]), in[0])[0]}
		})
		exponent := 1e-5 // an exponent of 100 is rounded by 4e-6
		checkEach(t, "softmax", in, out[0], want, make([]float64, len(in)), exponent)
		checkEach(t, "gradient", in, out[1], grads, scale, exponent)
	})
}

// TestSpecialAdamATan2: a gradient whose square float32 does not hold moves a weight by pi/2 of the rate at most, as the reference does.
func TestSpecialAdamATan2(t *testing.T) {
	const (
		beta1      = 0.9
		beta2      = 0.95
		keep       = 0.99
		rate       = 0.01
		root2      = 0.25
		heldSquare = 1e-16
	)
	onEach(t, func(t *testing.T) {
		var p, m, v, g []float64
		for _, x := range specials(tensor.F32, huge) {
			for _, before := range [][2]float64{{0, 0}, {x, 1}, {-0.5, 0.25}, {0, 1e-30}} {
				p = append(p, 0.5)
				m = append(m, before[0])
				v = append(v, before[1])
				g = append(g, x)
			}
		}
		one := func(x float64) tensor.Array { return fromFloats([]float64{x}, []int{}) }
		n := []int{len(g)}
		inputs := []tensor.Array{fromFloats(p, n), fromFloats(m, n), fromFloats(v, n), fromFloats(g, n), one(keep), one(rate), one(root2)}
		out := runUnit(t, inputs, func(in []*Node) []*Node {
			a, b, c := adamATan2(in[0], in[1], in[2], in[3], in[4], in[5], in[6], beta1, beta2)
			return []*Node{a, b, c}
		})
		for i, x := range g {
			m2, v2 := m[i]+(1-beta1)*(x-m[i]), v[i]+(1-beta2)*(x*x-v[i])
			want := p[i]*keep - rate*math.Atan2(m2, math.Sqrt(v2)/root2)
			bound := 1e-7
			if v2 < heldSquare*heldSquare {
				bound = rate * math.Pi
			}
			right := math.Abs(out[0][i]-want) <= bound &&
				math.Abs(out[1][i]-m2) <= 1e-6*(math.Abs(m[i])+math.Abs(x))+tinyLoss &&
				math.Abs(out[2][i]-v2) <= 1e-6*v2+tinyLoss
			if !right {
				t.Errorf("gradient %v, moments %v and %v: weight %v, moments %v and %v; want %v, %v and %v",
					x, m[i], v[i], out[0][i], out[1][i], out[2][i], want, m2, v2)
			}
		}
	})
}

// TestSpecialSignSGD: gradients of one puzzle that cancel move nothing, and neither does a puzzle that does not occur.
func TestSpecialSignSGD(t *testing.T) {
	onEach(t, func(t *testing.T) {
		ids := zeros(tensor.I32, 4)
		for i, id := range []byte{0, 0, 2, 3} {
			ids.Data[4*i] = id
		}
		g := []float64{1, largest, 1e-30, -1, largest / -2, -1e-30, 0, 0x1p-126, -largest, math.Copysign(0, -1), -0x1p-126, 1}
		one := func(x float64) tensor.Array { return fromFloats([]float64{x}, []int{}) }
		weights := fromFloats(slices.Repeat([]float64{0.5}, 12), []int{4, 3})
		out := runUnit(t, []tensor.Array{weights, ids, fromFloats(g, []int{4, 3}), one(0.5), one(0.125)},
			func(in []*Node) []*Node { return []*Node{signSGD(in[0], in[1], in[2], in[3], in[4])} })
		want := []float64{0.25, 0.125, 0.25, 0.5, 0.5, 0.5, 0.25, 0.125, 0.375, 0.25, 0.375, 0.125}
		near(t, "puzzle embedding", out[0], want, 0, false)
	})
}

// TestSpecialLossHead: rows of padding, rows with all logits tied (at 1, at 0), the first of equal logits is the prediction, q logits
// far out.
func TestSpecialLossHead(t *testing.T) {
	eachType(t, func(t *testing.T, dt tensor.DType) {
		const cells, classes = 3, 4
		rows := [][]float64{
			slices.Repeat([]float64{1}, cells*classes),
			slices.Repeat([]float64{0}, cells*classes),
			slices.Repeat([]float64{1}, cells*classes), // padding
			{0, 9, 9, -9, -9, 0, 1, 1, 9, 0, 9, 9},     // ties of two
		}
		labels := []byte{1, 2, 3, 1, 0, 0, 0, 0, 0, 1, 2, 0}
		q := []float64{0, -largest, largest, huge}
		var in []float64
		grads, gradQ := make([]float64, len(rows)*cells*classes), make([]float64, len(rows))
		lm, qLoss := 0.0, 0.0
		exact := []float64{0, 0, 1, 1}
		for r, row := range rows {
			in = append(in, row...)
			own := labels[r*cells : (r+1)*cells]
			counted := float64(cells - count(own, 0))
			for c, label := range own {
				if label == 0 {
					continue
				}
				v, g, _ := stableLoss("stablemax_cross_entropy", row[c*classes:(c+1)*classes], int(label))
				lm += v / counted
				for k := range g {
					grads[(r*cells+c)*classes+k] = g[k] / counted
				}
			}
			qLoss += max(q[r], 0) - q[r]*exact[r] + math.Log1p(math.Exp(-math.Abs(q[r])))
			gradQ[r] = (1/(1+math.Exp(-q[r])) - exact[r]) / 2
		}
		n := len(rows)
		halted, steps, marks := zeros(tensor.Bool, n), zeros(tensor.I32, n), zeros(tensor.U8, n, cells)
		for i := range n {
			halted.Data[i], steps.Data[4*i] = 1, 1
		}
		copy(marks.Data, labels)
		c := Config{LossType: "stablemax_cross_entropy", SeqLen: cells, VocabSize: classes}
		inputs := []tensor.Array{floatArray(dt, in, n, cells, classes), marks, fromFloats(q, []int{n}), halted, steps}
		out := runUnit(t, inputs, func(in []*Node) []*Node {
			l := c.lossHead(in[0], in[1], in[2], nil, nil, in[3], in[4])
			return append(append(l.metrics, ConvertDType(l.preds, dtypes.Float32)), Gradient(l.total, in[0], in[2])...)
		})
		// loss, lm_loss, q_halt_loss, q_continue_loss, count, accuracy, exact_accuracy, q_halt_accuracy, steps
		for i, want := range []float64{lm + qLoss/2, lm, qLoss, 0, 3, 1, 1, 2, 3} {
			near(t, metricNames[i], out[i], []float64{want}, 1e-12, true)
		}
		near(t, "predictions", out[9], []float64{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0}, 0, false)
		checkEach(t, "gradient", in, out[10], grads, slices.Repeat([]float64{0.1}, len(in)), precision(dt))
		checkEach(t, "gradient of q", q, out[11], gradQ, []float64{1, 1, 1, 1}, 1e-6)
	})
}

var metricNames = []string{"loss", "lm_loss", "q_halt_loss", "q_continue_loss", "count", "accuracy", "exact_accuracy",
	"q_halt_accuracy", "steps"}
