package kernel

import "math"

// tileM and tileN are the rows and columns of one register tile; fixed, so that packed data fits every level.
const (
	tileM = 14
	tileN = 32
)

var (
	packPanel func(dst, src []float32, lane, step, lanes, kc, width int)
	microTile func(a, b, c []float32, ldc, kc, rows, cols int, acc bool)

	// packRows14 and packRows32 pack every panel of lanes that lie side by side, where the level has it.
	packRows14, packRows32 func(dst, src *float32, step, kc, lanes int)

	// column computes one column for up to four panels of A that lie next words apart, where the level has it.
	column, columnBF16 func(a, b, out *float32, kc, next, panels int)

	// bfloat16 operands: packed as pairs of k for the CPU's dot product, or widened for microTile.
	dotsPairsBF16 bool
	packPanelBF16 func(dst []float32, src []uint16, lane, step, lanes, kc, width int)
	microTileBF16 func(a, b, c []float32, ldc, kc, rows, cols int, acc bool)
)

// packPanelGeneric writes dst[k*width+l] = src[l*lane+k*step] for l < lanes, k < kc, and zero for the other lanes.
func packPanelGeneric(dst, src []float32, lane, step, lanes, kc, width int) {
	for k := range kc {
		d := dst[k*width:][:width]
		if lane == 1 {
			copy(d, src[k*step:][:lanes])
		} else {
			for l := range lanes {
				d[l] = src[l*lane+k*step]
			}
		}
		clear(d[lanes:])
	}
}

// microTileGeneric computes one tile from packed panels.
func microTileGeneric(a, b, c []float32, ldc, kc, rows, cols int, acc bool) {
	for i := range rows {
		var sum [tileN]float32
		for k := range kc {
			x := a[k*tileM+i]
			bk := b[k*tileN:][:tileN]
			for j := range sum {
				sum[j] += x * bk[j]
			}
		}
		d := c[i*ldc:][:cols]
		if acc {
			for j := range d {
				d[j] += sum[j]
			}
		} else {
			copy(d, sum[:cols])
		}
	}
}

func packPanelBF16Generic(dst []float32, src []uint16, lane, step, lanes, kc, width int) {
	for k := range kc {
		d := dst[k*width:][:width]
		for l := range lanes {
			d[l] = math.Float32frombits(uint32(src[l*lane+k*step]) << 16)
		}
		clear(d[lanes:])
	}
}

func microTileWidened(a, b, c []float32, ldc, kc, rows, cols int, acc bool) {
	microTile(a, b, c, ldc, kc, rows, cols, acc)
}
