package kernel

// Gemm is a batched product C[b] = A[b]·B[b], or C[b] += A[b]·B[b] with Accumulate, A being M×K, B K×N and C M×N.
// Element (i,j) of A[b] is A[b*ABatch+i*ARow+j*ACol]; any strides serve (swap ARow and ACol for a transposed operand; a batch
// stride of 0 broadcasts). C's columns are contiguous: C[b*CBatch+i*CRow+j]. For a C stored transposed swap A and B.
// C must not overlap A or B. Every element is a chain of fused multiply-adds in k order over fixed blocks of k.
type Gemm struct {
	M, N, K, Batch     int
	A, B, C            []float32
	ARow, ACol, ABatch int
	BRow, BCol, BBatch int
	CRow, CBatch       int
	Accumulate         bool
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

type gemmScratch struct{ a, b []float32 }

var (
	gemmJobs      freeList[gemmJob]
	gemmScratches freeList[gemmScratch]
)

const (
	stagePackB = iota
	stageTiles
	stageBatch
)

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// kBlock returns the length of the blocks of k: it depends on K alone.
func kBlock(k int) int { return ceilDiv(k, ceilDiv(k, blockK)) }

// Gemm computes g on the pool (nil runs inline).
func (p *Pool) Gemm(g *Gemm) {
	if g.M <= 0 || g.N <= 0 || g.Batch <= 0 {
		return
	}
	if g.K <= 0 {
		if !g.Accumulate {
			for b := range g.Batch {
				for i := range g.M {
					clear(g.C[b*g.CBatch+i*g.CRow:][:g.N])
				}
			}
		}
		return
	}
	j := gemmJobs.get()
	j.g = *g
	q := &j.g
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

// check touches the last element of each operand, so that a short slice panics here and not inside assembly.
func (g *Gemm) check() {
	_ = g.A[(g.Batch-1)*g.ABatch+(g.M-1)*g.ARow+(g.K-1)*g.ACol]
	_ = g.B[(g.Batch-1)*g.BBatch+(g.K-1)*g.BRow+(g.N-1)*g.BCol]
	_ = g.C[(g.Batch-1)*g.CBatch+(g.M-1)*g.CRow+g.N-1]
}

// Run implements Job for the stages of a product.
func (j *gemmJob) Run(lo, hi int) {
	g := &j.g
	if j.stage == stagePackB {
		for t := lo; t < hi; t++ {
			packPanel(j.packed[t*tileN*j.kc:], g.B[j.k0*g.BRow+t*tileN*g.BCol:], g.BCol, g.BRow, min(tileN, g.N-t*tileN), j.kc, tileN)
		}
		return
	}
	s := gemmScratches.get()
	for t := lo; t < hi; t++ {
		if j.stage == stageTiles {
			i0, n0 := t/j.nTasks*blockM, t%j.nTasks*blockN
			m, n := min(blockM, g.M-i0), min(blockN, g.N-n0)
			s.packA(g.A[i0*g.ARow+j.k0*g.ACol:], g.ARow, g.ACol, m, j.kc)
			tiles(s.a, j.packed[n0*j.kc:], g.C[i0*g.CRow+n0:], g.CRow, m, n, j.kc, j.acc)
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
func (s *gemmScratch) one(g *Gemm, b, i0, m int) {
	kb := kBlock(g.K)
	panels := ceilDiv(g.N, tileN)
	for k0 := 0; k0 < g.K; k0 += kb {
		kc := min(kb, g.K-k0)
		s.b = grow(s.b, panels*tileN*kc)
		for t := range panels {
			packPanel(s.b[t*tileN*kc:], g.B[b*g.BBatch+k0*g.BRow+t*tileN*g.BCol:], g.BCol, g.BRow, min(tileN, g.N-t*tileN), kc, tileN)
		}
		for r := 0; r < m; r += blockM {
			rows := min(blockM, m-r)
			i := i0 + r
			s.packA(g.A[b*g.ABatch+i*g.ARow+k0*g.ACol:], g.ARow, g.ACol, rows, kc)
			tiles(s.a, s.b, g.C[b*g.CBatch+i*g.CRow:], g.CRow, rows, g.N, kc, g.Accumulate || k0 > 0)
		}
	}
}

func (s *gemmScratch) packA(a []float32, row, col, m, kc int) {
	s.a = grow(s.a, ceilDiv(m, tileM)*tileM*kc)
	for i := 0; i < m; i += tileM {
		packPanel(s.a[i*kc:], a[i*row:], row, col, min(tileM, m-i), kc, tileM)
	}
}

// tiles multiplies a packed block of m rows with packed panels of n columns.
func tiles(a, b, c []float32, ldc, m, n, kc int, acc bool) {
	for q := 0; q < n; q += tileN {
		for i := 0; i < m; i += tileM {
			microTile(a[i*kc:], b[q*kc:], c[i*ldc+q:], ldc, kc, min(tileM, m-i), min(tileN, n-q), acc)
		}
	}
}
