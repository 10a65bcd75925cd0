package kernel

import (
	"slices"
	"testing"
)

// BenchmarkPeak is the ceiling of one core: register FMAs alone, and one register tile on data in the nearest cache.
func BenchmarkPeak(b *testing.B) {
	if !slices.Contains(Levels(), AVX512) {
		b.Skip("needs AVX-512")
	}
	b.Run("registers", func(b *testing.B) {
		for b.Loop() {
			peak512(10000)
		}
		b.ReportMetric(24*32*10000*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
	b.Run("tile", func(b *testing.B) {
		x, y, c := make([]float32, 256*tileM), make([]float32, 256*tileN), make([]float32, tileM*tileN)
		for b.Loop() {
			microTile512(x, y, c, tileN, 256, tileM, tileN, true)
		}
		b.ReportMetric(2*tileM*tileN*256*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
}
