package kernel

// Gemm is a batched product C[b] = A[b]·B[b], or C[b] += A[b]·B[b] with Accumulate, A being M×K, B K×N and C M×N.
// Element (i,j) of A[b] is A[b*ABatch+i*ARow+j*ACol]; any strides serve (swap ARow and ACol for a transposed operand; a batch
// stride of 0 broadcasts). C's columns are contiguous: C[b*CBatch+i*CRow+j]. For a C stored transposed swap A and B.
// For bfloat16 operands set A16 and B16 in place of A and B; C stays float32. With AVX512-BF16 the products of two k at a time are
// added in float32, rounding to nearest even, and denormal operands and results count as zero; elsewhere the operands are widened.
// Narrow says that the operands are bfloat16 where A16 is not there yet to show it. Packed is B as PackB wrote it, for Run of products that
// share a B of one batch; B is not read then (Run needs Narrow set). C must not overlap A or B. Every element is a chain of fused multiply-adds in k order over fixed blocks of k.
type Gemm struct {
	M, N, K, Batch     int
	A, B, C            []float32
	A16, B16           []uint16
	Packed             []float32
	ARow, ACol, ABatch int
	BRow, BCol, BBatch int
	CRow, CBatch       int
	Accumulate, Narrow bool
}

// blockK is the longest run of k between two additions into C, blockM the rows and blockN the columns of one task.
const (
	blockK = 256
	blockM = 168
	blockN = 1024
)

type gemmJob struct {
	g              Gemm
	stage          int
	k0, kc         int
	acc            bool
	packed         []float32
	mTasks, nTasks int
}

// Scratch is the memory of one thread's packed operands; it grows to the largest product.
type Scratch struct{ a, b []float32 }

var (
	gemmJobs      freeList[gemmJob]
	gemmScratches freeList[Scratch]
)

const (
	stagePackB = iota
	stageTiles
	stageBatch
	stagePackAll
)

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// kBlock returns the length of the blocks of k: even, and depends on K alone.
func kBlock(k int) int { return (ceilDiv(k, ceilDiv(k, blockK)) + 1) &^ 1 }

// Gemm computes g on the pool (nil runs inline).
func (p *Pool) Gemm(g *Gemm) {
	if g.M <= 0 || g.N <= 0 || g.Batch <= 0 {
		return
	}
	if g.K <= 0 {
		g.empty()
		return
	}
	j := gemmJobs.get()
	j.g = *g
	q := &j.g
	q.Narrow = q.Narrow || q.A16 != nil
	if q.Batch > 1 && q.BBatch == 0 && q.ABatch == q.M*q.ARow && q.CBatch == q.M*q.CRow {
		q.M, q.Batch = q.M*q.Batch, 1
	}
	q.check()
	if q.Batch > 1 {
		j.stage = stageBatch
		j.mTasks = 1
		if q.Batch < 8 && q.M > blockM {
			j.mTasks = ceilDiv(q.M, blockM)
		}
		p.Run(q.Batch*j.mTasks, 1, j)
	} else {
		kb := kBlock(q.K)
		panels := ceilDiv(q.N, tileN)
		j.mTasks, j.nTasks = ceilDiv(q.M, blockM), ceilDiv(q.N, blockN)
		for k0 := 0; k0 < q.K; k0 += kb {
			j.k0, j.kc, j.acc = k0, min(kb, q.K-k0), q.Accumulate || k0 > 0
			j.packed = grow(j.packed, panels*tileN*j.kc)
			j.stage = stagePackB
			p.Run(panels, max(1, ceilDiv(16384, j.kc*tileN)), j)
			j.stage = stageTiles
			p.Run(j.mTasks*j.nTasks, 1, j)
		}
	}
	j.g = Gemm{}
	gemmJobs.put(j)
}

// empty computes a product over no k.
func (g *Gemm) empty() {
	for b := range g.Batch {
		for i := 0; i < g.M && !g.Accumulate; i++ {
			clear(g.C[b*g.CBatch+i*g.CRow:][:g.N])
		}
	}
}

// Run computes g on the calling thread with its own scratch; the bits are those of Pool.Gemm.
func (g *Gemm) Run(s *Scratch) {
	if g.M <= 0 || g.N <= 0 || g.Batch <= 0 {
		return
	}
	if g.K <= 0 {
		g.empty()
		return
	}
	g.check()
	for b := range g.Batch {
		s.one(g, b, 0, g.M)
	}
}

// PackedSize is the length of what PackB writes.
func (g *Gemm) PackedSize() (n int) {
	kb := kBlock(max(g.K, 1))
	for k0 := 0; k0 < g.K; k0 += kb {
		n += ceilDiv(g.N, tileN) * tileN * g.depth(min(kb, g.K-k0))
	}
	return n
}

// PackB packs B (of one batch; N, K, B or B16 with its strides and Narrow are what counts) for Packed.
func (p *Pool) PackB(dst []float32, g *Gemm) {
	j := gemmJobs.get()
	j.g, j.packed, j.stage = *g, dst, stagePackAll
	p.Run(ceilDiv(g.N, tileN), max(1, ceilDiv(16384, g.K*tileN+1)), j)
	j.g, j.packed = Gemm{}, nil
	gemmJobs.put(j)
}

// check touches the last element of each operand, so that a short slice panics here and not inside assembly.
func (g *Gemm) check() {
	a, b := (g.Batch-1)*g.ABatch+(g.M-1)*g.ARow+(g.K-1)*g.ACol, (g.Batch-1)*g.BBatch+(g.K-1)*g.BRow+(g.N-1)*g.BCol
	switch {
	case g.Packed != nil:
		_ = g.Packed[g.PackedSize()-1]
		if g.Narrow {
			_ = g.A16[a]
		} else {
			_ = g.A[a]
		}
	case g.Narrow:
		_, _ = g.A16[a], g.B16[b]
	default:
		_, _ = g.A[a], g.B[b]
	}
	_ = g.C[(g.Batch-1)*g.CBatch+(g.M-1)*g.CRow+g.N-1]
}

// Run implements Job for the stages of a product.
func (j *gemmJob) Run(lo, hi int) {
	g := &j.g
	if j.stage == stagePackB {
		for t := lo; t < hi; t++ {
			g.packB(j.packed, 0, j.k0, t, j.kc)
		}
		return
	}
	if j.stage == stagePackAll {
		kb, at := kBlock(max(g.K, 1)), 0
		for k0 := 0; k0 < g.K; k0 += kb {
			kc := min(kb, g.K-k0)
			for t := lo; t < hi; t++ {
				g.packB(j.packed[at:], 0, k0, t, kc)
			}
			at += ceilDiv(g.N, tileN) * tileN * g.depth(kc)
		}
		return
	}
	s := gemmScratches.get()
	for t := lo; t < hi; t++ {
		if j.stage == stageTiles {
			i0, n0 := t/j.nTasks*blockM, t%j.nTasks*blockN
			m, n := min(blockM, g.M-i0), min(blockN, g.N-n0)
			s.packA(g, i0*g.ARow+j.k0*g.ACol, m, j.kc)
			g.tiles(s.a, j.packed[n0*g.depth(j.kc):], g.C[i0*g.CRow+n0:], g.CRow, m, n, j.kc, j.acc)
			continue
		}
		b, i0, m := t/j.mTasks, 0, g.M
		if j.mTasks > 1 {
			i0 = t % j.mTasks * blockM
			m = min(blockM, g.M-i0)
		}
		s.one(g, b, i0, m)
	}
	gemmScratches.put(s)
}

// one computes rows [i0,i0+m) of batch b with scratch of its own.
func (s *Scratch) one(g *Gemm, b, i0, m int) {
	kb := kBlock(g.K)
	panels := ceilDiv(g.N, tileN)
	at := 0
	for k0 := 0; k0 < g.K; k0 += kb {
		kc := min(kb, g.K-k0)
		var packed []float32
		if g.Packed != nil {
			packed = g.Packed[at:]
			at += panels * tileN * g.depth(kc)
		} else {
			s.b = grow(s.b, panels*tileN*kc)
			for t := range panels {
				g.packB(s.b, b, k0, t, kc)
			}
			packed = s.b
		}
		for r := 0; r < m; r += blockM {
			rows := min(blockM, m-r)
			i := i0 + r
			s.packA(g, b*g.ABatch+i*g.ARow+k0*g.ACol, rows, kc)
			g.tiles(s.a, packed, g.C[b*g.CBatch+i*g.CRow:], g.CRow, rows, g.N, kc, g.Accumulate || k0 > 0)
		}
	}
}

func (s *Scratch) packA(g *Gemm, at, m, kc int) {
	depth := g.depth(kc)
	s.a = grow(s.a, ceilDiv(m, tileM)*tileM*depth)
	for i := 0; i < m; i += tileM {
		if g.Narrow {
			packPanelBF16(s.a[i*depth:], g.A16[at+i*g.ARow:], g.ARow, g.ACol, min(tileM, m-i), kc, tileM)
		} else {
			packPanel(s.a[i*depth:], g.A[at+i*g.ARow:], g.ARow, g.ACol, min(tileM, m-i), kc, tileM)
		}
	}
}

// packB packs panel t of batch b.
func (g *Gemm) packB(dst []float32, b, k0, t, kc int) {
	at := b*g.BBatch + k0*g.BRow + t*tileN*g.BCol
	lanes := min(tileN, g.N-t*tileN)
	dst = dst[t*tileN*g.depth(kc):]
	if g.Narrow {
		packPanelBF16(dst, g.B16[at:], g.BCol, g.BRow, lanes, kc, tileN)
	} else {
		packPanel(dst, g.B[at:], g.BCol, g.BRow, lanes, kc, tileN)
	}
}

// depth is the number of packed words that kc steps of k take per lane.
func (g *Gemm) depth(kc int) int {
	if g.Narrow && pairsBF16 {
		return (kc + 1) / 2
	}
	return kc
}

// tiles multiplies a packed block of m rows with packed panels of n columns.
func (g *Gemm) tiles(a, b, c []float32, ldc, m, n, kc int, acc bool) {
	depth, tile := g.depth(kc), microTile
	if g.Narrow {
		tile = microTileBF16
	}
	for q := 0; q < n; q += tileN {
		for i := 0; i < m; i += tileM {
			tile(a[i*depth:], b[q*depth:], c[i*ldc+q:], ldc, kc, min(tileM, m-i), min(tileN, n-q), acc)
		}
	}
}
