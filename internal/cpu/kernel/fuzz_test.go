package kernel

import (
	little "encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

func FuzzGemm(f *testing.F) {
	f.Add(uint64(1), uint8(97), uint8(33), uint16(257), uint8(2), true)
	p := NewPool(2)
	f.Fuzz(func(t *testing.T, seed uint64, m, n uint8, k uint16, batch uint8, acc bool) {
		eachLevel(t, func(Level) {
			checkGemm(t, p, randomGemm(rand.New(rand.NewPCG(seed, 0)), int(m), int(n), int(k%600), 1+int(batch%3), acc))
		})
	})
}

func FuzzGemmBF16(f *testing.F) {
	f.Add(uint64(1), uint8(97), uint8(33), uint16(257), uint8(2), true)
	f.Add(uint64(2), uint8(17), uint8(16), uint16(33), uint8(0), false)
	p := NewPool(2)
	f.Fuzz(func(t *testing.T, seed uint64, m, n uint8, k uint16, batch uint8, acc bool) {
		eachLevel(t, func(Level) {
			checkBF16(t, p, randomGemm(rand.New(rand.NewPCG(seed, 0)), int(m), int(n), int(k%600), 1+int(batch%3), acc))
		})
	})
}

// FuzzElementwise runs every elementwise kernel over any bits, in slices of any length, on every level.
func FuzzElementwise(f *testing.F) {
	seed := make([]byte, 0, 4*len(special))
	for _, x := range special {
		seed = little.LittleEndian.AppendUint32(seed, math.Float32bits(x))
	}
	f.Add(seed, uint8(3))
	f.Add(append(seed, seed...), uint8(17))
	f.Fuzz(func(t *testing.T, data []byte, turn uint8) {
		a := make([]float32, min(len(data)/4, 3000))
		for i := range a {
			a[i] = math.Float32frombits(little.LittleEndian.Uint32(data[4*i:]))
		}
		b := make([]float32, len(a)) // a, turned
		for i := range b {
			b[i] = a[(i+int(turn))%len(a)]
		}
		eachLevel(t, func(Level) {
			for _, c := range unaryCases {
				checkUnary(t, c, a)
			}
			for _, c := range binaryCases {
				checkBinary(t, c, a, b)
			}
			checkRest(t, a)
		})
	})
}
