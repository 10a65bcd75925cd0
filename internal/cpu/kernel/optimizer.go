package kernel

import "math"

// AdamAtan2 holds the constants of one AdamATan2 step: p *= 1-LR*WeightDecay; m and v are the usual moments;
// p -= LR*Scale*atan2(m/Correction1, sqrt(v/Correction2)), Correction = 1-beta^step.
type AdamAtan2 struct {
	LR, WeightDecay, Beta1, Beta2, Correction1, Correction2, Scale float32
}

var (
	adamAtan2 func(c *AdamAtan2, p, m, v, g []float32)
	ema       func(avg, p []float32, decay float32)
	toBF16    func(dst []uint16, a []float32)
	fromBF16  func(dst []float32, a []uint16)
	roundBF16 func(dst, a []float32)
)

// Update applies one step to p, m and v in place from gradients g. The angle errs by at most 4 ulp; infinite moments give NaN on AVX-512.
func (c *AdamAtan2) Update(p, m, v, g []float32) { adamAtan2(c, p, m[:len(p)], v[:len(p)], g[:len(p)]) }

func adamAtan2Generic(c *AdamAtan2, p, m, v, g []float32) {
	keep, lr := 1-c.LR*c.WeightDecay, c.LR*c.Scale
	for i, d := range g {
		m[i] = c.Beta1*m[i] + (1-c.Beta1)*d
		v[i] = c.Beta2*v[i] + (1-c.Beta2)*d*d
		a := float32(math.Atan2(float64(m[i]/c.Correction1), math.Sqrt(float64(v[i]/c.Correction2))))
		p[i] = p[i]*keep - lr*a
	}
}

// EMA computes avg = decay*avg + (1-decay)*p in place.
func EMA(avg, p []float32, decay float32) { ema(avg, p[:len(avg)], decay) }

func emaGeneric(avg, p []float32, decay float32) {
	for i := range avg {
		avg[i] = decay*avg[i] + (1-decay)*p[i]
	}
}

// ToBF16 rounds to nearest even; NaN stays NaN (quieted), overflow gives infinity, denormals are kept.
func ToBF16(dst []uint16, a []float32) { toBF16(dst, a[:len(dst)]) }

// FromBF16 widens exactly.
func FromBF16(dst []float32, a []uint16) { fromBF16(dst, a[:len(dst)]) }

// RoundBF16 computes what FromBF16 gives back of ToBF16; dst may be a.
func RoundBF16(dst, a []float32) { roundBF16(dst, a[:len(dst)]) }

func roundBF16Generic(dst, a []float32) {
	for i, x := range a {
		b := math.Float32bits(x)
		if x != x {
			dst[i] = math.Float32frombits(b&^0xffff | 0x400000)
			continue
		}
		dst[i] = math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
	}
}

func toBF16Generic(dst []uint16, a []float32) {
	for i, x := range a {
		b := math.Float32bits(x)
		if x != x {
			dst[i] = uint16(b>>16) | 0x40
			continue
		}
		dst[i] = uint16((b + 0x7fff + b>>16&1) >> 16)
	}
}

func fromBF16Generic(dst []float32, a []uint16) {
	for i, x := range a {
		dst[i] = math.Float32frombits(uint32(x) << 16)
	}
}
