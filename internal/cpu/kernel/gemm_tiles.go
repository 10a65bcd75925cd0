package kernel

// A product by tile registers multiplies 16 rows by 16 columns over 32 k at a time. A is packed in panels of tileRows rows, tile after
// tile along k; B as pairs of k in panels of tileN columns, like for VDPBF16PS, filled up with zeros to whole tiles.
const (
	tileRows   = 16
	tileK      = 32
	tileBlockM = 160
	tileBlockK = 256
)

var (
	tilesBF16 bool // the level multiplies bfloat16 by tiles

	// packTiles packs m rows and kc steps of A.
	packTiles func(dst []float32, src []uint16, row, step, m, kc int)

	// tileBlock computes m×n results from packed operands: added to c, stored there, or, c16 not nil, stored as bfloat16.
	tileBlock func(a, b, c []float32, c16 []uint16, edge []float32, ldc, m, n, kc int, acc bool)
)

func (g *Gemm) tiled() bool { return g.Narrow && tilesBF16 }

func (s *Scratch) multiplyTiles(g *Gemm, a, b []float32, p part, kc int) {
	s.edge = grow(s.edge, 2*tileRows*tileN)
	var c16 []uint16
	if p.last && g.C16 != nil {
		c16 = g.C16[p.c:]
	}
	tileBlock(a, b, g.C[p.c:], c16, s.edge, g.CRow, p.m, p.n, kc, p.acc)
}
