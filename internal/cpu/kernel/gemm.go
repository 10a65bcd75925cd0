package kernel

// Gemm is a batched product C[b] = A[b]·B[b], or C[b] += A[b]·B[b] with Accumulate, A being M×K, B K×N and C M×N.
// Element (i,j) of A[b] is A[b*ABatch+i*ARow+j*ACol]; any strides serve (swap ARow and ACol for a transposed operand; a batch
// stride of 0 broadcasts). C's columns are contiguous: C[b*CBatch+i*CRow+j]. For a C stored transposed swap A and B.
// C must not overlap A or B.
//
// For bfloat16 operands set BF16, and A16 and B16 in place of A and B. Sums are float32. On amx the products of even and of odd k are
// added up apart over 32 k, then both are added to the rest; on avx512bf16 two products are added at a time. Both round to nearest even and
// count denormals as zero. On other levels the operands are widened, and each element is a chain of fused multiply-adds in k order. Every
// level works in fixed blocks of k.
type Gemm struct {
	M, N, K, Batch     int
	A, B, C            []float32
	A16, B16           []uint16
	C16                []uint16 // if set, gets the results as bfloat16 in C's layout; C is then scratch, and Accumulate must not be set
	ARow, ACol, ABatch int
	BRow, BCol, BBatch int
	CRow, CBatch       int
	Accumulate         bool
	BF16               bool      // the operands are bfloat16; PackB, PackedSize and Run need it, Pool.Gemm sees it from A16
	Packed             []float32 // B as PackB wrote it; Run then does not read B. Only for a Batch of 1
	SameA              bool      // A is, unchanged, that of the product which the same Scratch ran before
}

// blockK is the longest run of k between two additions into C. blockM and blockN are the most rows and columns of one task. maxPackedA is
// the largest A, in words, that a thread packs as a whole, to use it again for the next product.
const (
	blockK     = 256
	blockM     = 168
	blockN     = 512
	maxPackedA = 80 << 10
)

// gemmJob cuts a product into tasks that pack their own operands, so that no thread waits for another.
type gemmJob struct {
	g              Gemm
	pack           []float32 // if set, the job only packs B into it
	mTasks, nTasks int
}

// Scratch is the memory of one thread's packed operands; it grows to the largest product.
type Scratch struct {
	a, b, edge []float32
	column     [4 * 16]float32
}

var (
	gemmJobs      freeList[gemmJob]
	gemmScratches freeList[Scratch]
)

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// kBlock returns the length of the blocks of k. It is even, and depends on the level and K alone.
func (g *Gemm) kBlock() int {
	k := max(g.K, 1)
	if g.usesTileRegisters() {
		return ceilDiv(ceilDiv(k, ceilDiv(k, tileBlockK)), tileK) * tileK
	}
	return (ceilDiv(k, ceilDiv(k, blockK)) + 1) &^ 1
}

// rowsOf returns the rows of a packed panel of A, and the most rows of a task.
func (g *Gemm) rowsOf() (panel, block int) {
	if g.usesTileRegisters() {
		return tileRows, tileBlockM
	}
	return tileM, blockM
}

// panelRange gives the panels [from, to) of task t of tasks.
func panelRange(panels, t, tasks int) (from, to int) {
	return t * panels / tasks, (t + 1) * panels / tasks
}

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
	q.BF16 = q.BF16 || q.A16 != nil
	if q.Batch > 1 && q.BBatch == 0 && q.ABatch == q.M*q.ARow && q.CBatch == q.M*q.CRow {
		q.M, q.Batch = q.M*q.Batch, 1
	}
	q.check()
	j.mTasks, j.nTasks = q.tasks(p)
	p.Run(q.Batch*j.mTasks*j.nTasks, 1, j)
	j.g = Gemm{}
	gemmJobs.put(j)
}

// empty computes a product over no k.
func (g *Gemm) empty() {
	for b := range g.Batch {
		for i := 0; i < g.M && !g.Accumulate; i++ {
			at := b*g.CBatch + i*g.CRow
			clear(g.C[at:][:g.N])
			if g.C16 != nil {
				clear(g.C16[at:][:g.N])
			}
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
	panel, block := g.rowsOf()
	if size := ceilDiv(g.M, panel) * panel * g.depth(g.K); g.Batch == 1 && size <= maxPackedA {
		s.wholeProduct(g, size)
		return
	}
	for b := range g.Batch {
		for i := 0; i < g.M; i += block {
			s.blockProduct(g, b, i, min(block, g.M-i), 0, g.N)
		}
	}
}

// PackedSize is the length of what PackB writes.
func (g *Gemm) PackedSize() (n int) {
	kb := g.kBlock()
	for k0 := 0; k0 < g.K; k0 += kb {
		n += ceilDiv(g.N, tileN) * tileN * g.depth(min(kb, g.K-k0))
	}
	return n
}

// PackB packs B of one batch for Packed. It reads N, K, BF16, and B or B16 with its strides.
func (p *Pool) PackB(dst []float32, g *Gemm) {
	j := gemmJobs.get()
	j.g, j.pack = *g, dst
	p.Run(ceilDiv(g.N, tileN), max(1, ceilDiv(16384, g.K*tileN+1)), j)
	j.g, j.pack = Gemm{}, nil
	gemmJobs.put(j)
}

// check touches the last element of each operand, so that a short slice panics here and not inside assembly.
func (g *Gemm) check() {
	a, b := (g.Batch-1)*g.ABatch+(g.M-1)*g.ARow+(g.K-1)*g.ACol, (g.Batch-1)*g.BBatch+(g.K-1)*g.BRow+(g.N-1)*g.BCol
	switch {
	case g.Packed != nil:
		_ = g.Packed[g.PackedSize()-1]
		if g.BF16 {
			_ = g.A16[a]
		} else {
			_ = g.A[a]
		}
	case g.BF16:
		_, _ = g.A16[a], g.B16[b]
	default:
		_, _ = g.A[a], g.B[b]
	}
	c := (g.Batch-1)*g.CBatch + (g.M-1)*g.CRow + g.N - 1
	_ = g.C[c]
	if g.C16 != nil {
		_ = g.C16[c]
	}
}

// Run implements Job for the tasks of a product, or for panels of B to pack.
func (j *gemmJob) Run(lo, hi int) {
	g := &j.g
	if j.pack != nil {
		kb, at := g.kBlock(), 0
		for k0 := 0; k0 < g.K; k0 += kb {
			kc := min(kb, g.K-k0)
			for t := lo; t < hi; t++ {
				g.packB(j.pack[at+t*tileN*g.depth(kc):], 0, k0, t*tileN, kc)
			}
			at += ceilDiv(g.N, tileN) * tileN * g.depth(kc)
		}
		return
	}
	s := gemmScratches.get()
	panel, block := g.rowsOf()
	for t := lo; t < hi; t++ {
		m0, m1 := panelRange(ceilDiv(g.M, panel), t/j.nTasks%j.mTasks, j.mTasks)
		n0, n1 := panelRange(ceilDiv(g.N, tileN), t%j.nTasks, j.nTasks)
		m0, m1 = m0*panel, min(m1*panel, g.M)
		n0, n1 = n0*tileN, min(n1*tileN, g.N)
		for i := m0; i < m1; i += block {
			s.blockProduct(g, t/j.nTasks/j.mTasks, i, min(block, m1-i), n0, n1-n0)
		}
	}
	gemmScratches.put(s)
}

// part is m rows and n columns of C. c is the index of its first element.
type part struct {
	c, m, n int
	acc     bool // add to C
	last    bool // no more k to come
}

// blockProduct computes m rows from i0 and n columns from n0, a multiple of tileN, of batch b.
func (s *Scratch) blockProduct(g *Gemm, b, i0, m, n0, n int) {
	kb := g.kBlock()
	panel, _ := g.rowsOf()
	at := 0
	for k0 := 0; k0 < g.K; k0 += kb {
		kc := min(kb, g.K-k0)
		s.a = grow(s.a, ceilDiv(m, panel)*panel*g.depth(kc))
		s.packA(g, s.a, b*g.ABatch+i0*g.ARow+k0*g.ACol, m, kc)
		right := s.packedB(g, &at, b, k0, kc, n0, n)
		s.multiply(g, s.a, right, part{b*g.CBatch + i0*g.CRow + n0, m, n, g.Accumulate || k0 > 0, k0+kc == g.K}, kc)
	}
}

// wholeProduct computes a product of one batch. It packs all of A first, which takes size words.
func (s *Scratch) wholeProduct(g *Gemm, size int) {
	s.a = grow(s.a, size)
	kb := g.kBlock()
	panel, _ := g.rowsOf()
	from, at := 0, 0
	for k0 := 0; k0 < g.K; k0 += kb {
		kc := min(kb, g.K-k0)
		a := s.a[from:]
		from += ceilDiv(g.M, panel) * panel * g.depth(kc)
		if !g.SameA {
			s.packA(g, a, k0*g.ACol, g.M, kc)
		}
		right := s.packedB(g, &at, 0, k0, kc, 0, g.N)
		s.multiply(g, a, right, part{0, g.M, g.N, g.Accumulate || k0 > 0, k0+kc == g.K}, kc)
	}
}

// multiply computes a part of C from packed operands.
func (s *Scratch) multiply(g *Gemm, a, b []float32, p part, kc int) {
	if g.usesTileRegisters() {
		s.multiplyTiles(g, a, b, p, kc)
		return
	}
	s.multiplyPanels(g, a, b, g.C[p.c:], p.m, p.n, kc, p.acc)
	if p.last && g.C16 != nil {
		for i := p.c; i < p.c+p.m*g.CRow; i += g.CRow {
			ToBF16(g.C16[i:][:p.n], g.C[i:])
		}
	}
}

// packedB returns the panels of B for n columns from n0 and kc steps from k0. They come from Packed, in which at is moved on, or are packed
// here.
func (s *Scratch) packedB(g *Gemm, at *int, b, k0, kc, n0, n int) []float32 {
	depth := g.depth(kc)
	if g.Packed != nil {
		p := g.Packed[*at+n0*depth:]
		*at += ceilDiv(g.N, tileN) * tileN * depth
		return p
	}
	s.b = grow(s.b, ceilDiv(n, tileN)*tileN*depth)
	if g.BCol == 1 && !g.BF16 && packRows32 != nil {
		packRows32(&s.b[0], &g.B[b*g.BBatch+k0*g.BRow+n0], g.BRow, kc, n)
		return s.b
	}
	for q := 0; q < n; q += tileN {
		g.packB(s.b[q*depth:], b, k0, n0+q, kc)
	}
	return s.b
}

func (s *Scratch) packA(g *Gemm, dst []float32, at, m, kc int) {
	if g.usesTileRegisters() {
		packTiles(dst, g.A16[at:], g.ARow, g.ACol, m, kc)
		return
	}
	if g.ARow == 1 && !g.BF16 && packRows14 != nil {
		packRows14(&dst[0], &g.A[at], g.ACol, kc, m)
		return
	}
	depth := g.depth(kc)
	for i := 0; i < m; i += tileM {
		if g.BF16 {
			packPanelBF16(dst[i*depth:], g.A16[at+i*g.ARow:], g.ARow, g.ACol, min(tileM, m-i), kc, tileM)
		} else {
			packPanel(dst[i*depth:], g.A[at+i*g.ARow:], g.ARow, g.ACol, min(tileM, m-i), kc, tileM)
		}
	}
}

// packB packs the panel of columns from n0.
func (g *Gemm) packB(dst []float32, b, k0, n0, kc int) {
	at, lanes := b*g.BBatch+k0*g.BRow+n0*g.BCol, min(tileN, g.N-n0)
	if g.BF16 {
		packPanelBF16(dst, g.B16[at:], g.BCol, g.BRow, lanes, kc, tileN)
		if g.usesTileRegisters() {
			clear(dst[(kc+1)/2*tileN : g.depth(kc)*tileN])
		}
	} else {
		packPanel(dst, g.B[at:], g.BCol, g.BRow, lanes, kc, tileN)
	}
}

// depth is the number of packed words that kc steps of k take per lane.
func (g *Gemm) depth(kc int) int {
	if g.usesTileRegisters() {
		return ceilDiv(kc, tileK) * tileK / 2
	}
	if g.BF16 && dotsPairsBF16 {
		return (kc + 1) / 2
	}
	return kc
}

// multiplyPanels multiplies a packed block of m rows with packed panels of n columns.
func (s *Scratch) multiplyPanels(g *Gemm, a, b, c []float32, m, n, kc int, acc bool) {
	depth, ldc := g.depth(kc), g.CRow
	tile, one := microTile, column
	if g.BF16 {
		tile, one = microTileBF16, columnBF16
	}
	for q := 0; q < n; q += tileN {
		cols := min(tileN, n-q)
		if one != nil && cols <= 2 {
			for j := range cols {
				s.multiplyColumn(one, a, b[q*depth+j:], c[q+j:], ldc, m, depth, acc)
			}
			continue
		}
		for i := 0; i < m; i += tileM {
			tile(a[i*depth:], b[q*depth:], c[i*ldc+q:], ldc, kc, min(tileM, m-i), cols, acc)
		}
	}
}

// multiplyColumn computes one column, four panels of rows at a time. It adds up each element in the order of a register tile.
func (s *Scratch) multiplyColumn(one func(a, b, out *float32, kc, next, panels int), a, b, c []float32, ldc, m, depth int, acc bool) {
	out := &s.column
	for i := 0; i < m; i += 4 * tileM {
		panels := min(4, ceilDiv(m-i, tileM))
		one(&a[i*depth], &b[0], &out[0], depth, tileM*depth, panels)
		for r := range min(4*tileM, m-i) {
			x := out[r/tileM*16+r%tileM]
			if acc {
				x += c[(i+r)*ldc]
			}
			c[(i+r)*ldc] = x
		}
	}
}
