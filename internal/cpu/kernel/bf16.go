package kernel

import "math"

var (
	toBF16    func(dst []uint16, a []float32)
	fromBF16  func(dst []float32, a []uint16)
	roundBF16 func(dst, a []float32)
)

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
