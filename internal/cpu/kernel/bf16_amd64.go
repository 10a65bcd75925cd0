package kernel

import (
	"math"
	"unsafe"
)

//go:noescape
func tileBF16x512(a, b, c *float32, ldc, kc, rows, cols int, acc int)

//go:noescape
func columnBF16x512(a, b, out *float32, kc, next, panels int)

//go:noescape
func packPairs512(dst *float32, src *uint16, step, pairs, lanes, width int)

// amxBlock computes m×n results of C from packed panels of A and B. ldc and ldc16 are bytes; edge is 4 KB of scratch.
//
//go:noescape
func amxBlock(a, b, c *float32, c16 *uint16, edge *float32, chunks, ldc, m, n, acc, to16, ldc16 int)

// packWiden512 packs bfloat16 lanes that lie side by side as float32.
//
//go:noescape
func packWiden512(dst *float32, src *uint16, step, kc, lanes, width int)

// splitPairs512 makes of rows of pairs twice as many of float32, in place.
//
//go:noescape
func splitPairs512(dst *float32, pairs, width int)

//go:noescape
func packTileRows(dst *float32, src *uint16, stride, rows, kc int)

//go:noescape
func packTileColumns(dst *float32, src *uint16, stride, chunks int)

// useBF16 chooses the products of bfloat16 on the levels from AVX512.
func useBF16(l Level) {
	switch l {
	case AVX512:
		packPanelBF16, columnBF16 = packWidened512, column
	case AVX512BF16:
		dotsPairsBF16 = true
		packPanelBF16, microTileBF16, columnBF16 = packPanelBF16x512, microTileBF16x512, columnBF16x512
	case AMX:
		hasTileRegisters = true
		packPanelBF16, packTiles, tileBlock = packPanelBF16x512, packTilesAMX, tileBlockAMX
	}
}

func microTileBF16x512(a, b, c []float32, ldc, kc, rows, cols int, acc bool) {
	tileBF16x512(&a[0], &b[0], &c[0], ldc, (kc+1)/2, rows, cols, toInt(acc))
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func tileBlockAMX(a, b, c []float32, c16 []uint16, edge []float32, ldc, m, n, kc int, acc bool) {
	var to *uint16
	if c16 != nil {
		to = &c16[0]
	}
	amxBlock(&a[0], &b[0], &c[0], to, &edge[0], ceilDiv(kc, tileK), 4*ldc, m, n, toInt(acc), toInt(c16 != nil), 2*ldc)
}

// packPanelBF16x512 packs pairs of k into 32-bit lanes; an odd last k is paired with zero.
func packPanelBF16x512(dst []float32, src []uint16, lane, step, lanes, kc, width int) {
	pairs := kc / 2
	_ = dst[(kc+1)/2*width-1]
	switch {
	case pairs > 0 && lane == 1:
		packPairs512(&dst[0], &src[0], step, pairs, lanes, width)
	case pairs > 0 && step == 1:
		packPairRows(dst, src, lane, lanes, pairs, width)
	default:
		pairs = 0
	}
	for p := pairs; p < (kc+1)/2; p++ {
		d := dst[p*width:][:width]
		for l := range lanes {
			w := uint32(src[l*lane+2*p*step])
			if 2*p+1 < kc {
				w |= uint32(src[l*lane+(2*p+1)*step]) << 16
			}
			d[l] = math.Float32frombits(w)
		}
		clear(d[lanes:])
	}
}

// packPairRows packs lanes whose pairs run side by side.
func packPairRows(dst []float32, src []uint16, lane, lanes, pairs, width int) {
	_ = src[(lanes-1)*lane+2*pairs-1]
	words := func(i int) *float32 { return (*float32)(unsafe.Pointer(&src[i])) }
	packTranspose512(&dst[0], words(0), 2*lane, pairs, min(lanes, 16), width, min(width, 16))
	switch {
	case width <= 16:
	case lanes > 16:
		packTranspose512(&dst[16], words(16*lane), 2*lane, pairs, lanes-16, width, width-16)
	default:
		for p := range pairs {
			clear(dst[p*width+16:][:width-16])
		}
	}
}

// packWidened512 packs as float32.
func packWidened512(dst []float32, src []uint16, lane, step, lanes, kc, width int) {
	pairs := kc / 2
	_ = dst[kc*width-1]
	switch {
	case lane == 1:
		packWiden512(&dst[0], &src[0], step, kc, lanes, width)
		return
	case step == 1 && pairs > 0:
		packPairRows(dst, src, lane, lanes, pairs, width)
		splitPairs512(&dst[0], pairs, width)
	default:
		pairs = 0
	}
	if k := 2 * pairs; k < kc {
		packPanelBF16Generic(dst[k*width:], src[k*step:], lane, step, lanes, kc-k, width)
	}
}

// packTilesAMX packs m rows of A into tiles. Rows beyond m are left as they are: they reach no result.
func packTilesAMX(dst []float32, src []uint16, row, step, m, kc int) {
	chunks := ceilDiv(kc, tileK)
	for i := 0; i < m; i += tileRows {
		d, s, rows := dst[i*chunks*tileK/2:], src[i*row:], min(tileRows, m-i)
		whole := kc / tileK
		switch {
		case step == 1:
			packTileRows(&d[0], &s[0], 2*row, rows, kc)
			continue
		case row != 1 || rows < tileRows:
			whole = 0
		case whole > 0:
			packTileColumns(&d[0], &s[0], 2*step, whole)
		}
		for c := whole; c < chunks; c++ {
			packEdgeTile(d[c*tileRows*tileK/2:], s[c*tileK*step:], row, step, rows, min(tileK, kc-c*tileK))
		}
	}
}

// packEdgeTile packs one tile that is not whole, or whose rows do not lie side by side.
func packEdgeTile(dst []float32, src []uint16, row, step, rows, kc int) {
	var edge [tileK * tileRows]uint16
	for k := range kc {
		e, s := edge[k*tileRows:][:rows], src[k*step:]
		if row == 1 {
			copy(e, s[:rows])
			continue
		}
		for i := range e {
			e[i] = s[i*row]
		}
	}
	packTileColumns(&dst[0], &edge[0], 2*tileRows, 1)
}
