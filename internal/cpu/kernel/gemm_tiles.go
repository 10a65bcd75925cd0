package kernel

// A product by tile registers multiplies 16 rows by 16 columns over 32 k at a time. A is packed in panels of tileRows rows, tile after
// tile along k. B is packed as pairs of k in panels of tileN columns, as for VDPBF16PS, and filled up with zeros to whole tiles.
const (
	tileRows   = 16
	tileK      = 32
	tileBlockM = 160
	tileBlockK = 256
)

var (
	hasTileRegisters bool // the level multiplies bfloat16 by tiles

	// packTiles packs m rows and kc steps of A.
	packTiles func(dst []float32, src []uint16, row, step, m, kc int)

	// tileBlock computes m×n results from packed operands. It adds them to c, stores them there, or, if c16 is not nil, stores them as
	// bfloat16.
	tileBlock func(a, b, c []float32, c16 []uint16, edge []float32, ldc, m, n, kc int, acc bool)
)

func (g *Gemm) usesTileRegisters() bool { return g.BF16 && hasTileRegisters }

func (s *Scratch) multiplyTiles(g *Gemm, a, b []float32, p part, kc int) {
	s.edge = grow(s.edge, 2*tileRows*tileN)
	var c16 []uint16
	if p.last && g.C16 != nil {
		c16 = g.C16[p.c:]
	}
	tileBlock(a, b, g.C[p.c:], c16, s.edge, g.CRow, p.m, p.n, kc, p.acc)
}
