package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func normals(r *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(r.NormFloat64())
	}
	return s
}

// randomGemm makes operands of the shape with random layout: transposed or not, padded rows, broadcast batches, and gaps of NaN that must
// stay unread.
func randomGemm(r *rand.Rand, m, n, k, batch int, acc bool) Gemm {
	g := Gemm{M: m, N: n, K: k, Batch: batch, Accumulate: acc}
	type operand struct {
		row, col, batch int // strides
		data            []float32
	}
	layout := func(rows, cols int) operand {
		var rs, cs int
		pad := r.IntN(3)
		step := 1
		if r.IntN(5) == 0 {
			step = 2
		}
		if r.IntN(2) == 0 {
			rs, cs = cols*step+pad, step
		} else {
			rs, cs = step, rows*step+pad
		}
		bs := rows*rs + cols*cs
		data := make([]float32, bs*batch+1)
		for i := range data {
			data[i] = float32(math.NaN())
		}
		if r.IntN(3) == 0 {
			bs = 0
		}
		for b := range batch {
			for i := range rows {
				for j := range cols {
					data[b*bs+i*rs+j*cs] = float32(r.NormFloat64())
				}
			}
		}
		return operand{rs, cs, bs, data}
	}
	a := layout(m, k)
	g.ARow, g.ACol, g.ABatch = a.row, a.col, a.batch
	g.A = a.data
	b := layout(k, n)
	g.BRow, g.BCol, g.BBatch = b.row, b.col, b.batch
	g.B = b.data
	g.CRow = n + r.IntN(3)
	g.CBatch = m*g.CRow + r.IntN(3)
	g.C = normals(r, batch*g.CBatch+1)
	return g
}

func checkGemm(t *testing.T, p *Pool, g Gemm) {
	t.Helper()
	want := slices.Clone(g.C)
	bound := make([]float64, len(want))
	for b := range g.Batch {
		for i := range g.M {
			for j := range g.N {
				var s, size float64
				at := b*g.CBatch + i*g.CRow + j
				if g.Accumulate {
					s = float64(g.C[at])
					size = math.Abs(s)
				}
				for k := range g.K {
					x := float64(g.A[b*g.ABatch+i*g.ARow+k*g.ACol]) * float64(g.B[b*g.BBatch+k*g.BRow+j*g.BCol])
					s += x
					size += math.Abs(x)
				}
				want[at], bound[at] = float32(s), size*float64(g.K+2)*0x1p-24
			}
		}
	}
	p.Gemm(&g)
	for i, w := range want {
		if d := math.Abs(float64(g.C[i]) - float64(w)); !(d <= bound[i]) {
			t.Fatalf("%dx%dx%d batch %d strides A %d,%d,%d B %d,%d,%d C %d,%d acc %v: C[%d] = %g, want %g (bound %g)", g.M, g.N, g.K, g.Batch,
				g.ARow, g.ACol, g.ABatch, g.BRow, g.BCol, g.BBatch, g.CRow, g.CBatch, g.Accumulate, i, g.C[i], w, bound[i])
		}
	}
}

func TestGemm(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	edges := []int{0, 1, 2, 11, 13, 14, 15, 16, 17, 31, 32, 33, 64, 97, 167, 169}
	depths := []int{0, 1, 3, 15, 16, 17, 97, 255, 256, 257, 513}
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 150 {
			m, n, k := edges[r.IntN(len(edges))], edges[r.IntN(len(edges))], depths[r.IntN(len(depths))]
			checkGemm(t, p, randomGemm(r, m, n, k, 1+r.IntN(3), r.IntN(2) == 0))
		}
		checkGemm(t, p, randomGemm(r, 20, 1100, 300, 1, true))
	})
}

func TestGemmSameBitsForAnyThreads(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for i, s := range [][4]int{{400, 70, 300, 1}, {97, 64, 97, 5}, {512, 33, 600, 3}, {400, 70, 300, 1}, {97, 64, 97, 5}, {512, 33, 600, 3}} {
			g := randomGemm(r, s[0], s[1], s[2], s[3], true)
			if i >= 3 {
				narrow(&g)
			}
			start := slices.Clone(g.C)
			var first []float32
			for threads := 1; threads <= 4; threads++ {
				p := NewPool(threads)
				g.C = slices.Clone(start)
				p.Gemm(&g)
				p.Close()
				if first == nil {
					first = g.C
				} else if !slices.Equal(first, g.C) {
					t.Fatalf("shape %v: %d threads give other bits than one", s, threads)
				}
			}
			for i := range g.Batch { // rows split by the caller
				part := g
				part.C = slices.Clone(start)
				part.Batch, part.M = 1, 5
				part.A, part.B, part.C = part.A[i*g.ABatch+7*g.ARow:], part.B[i*g.BBatch:], part.C[i*g.CBatch+7*g.CRow:]
				if g.A16 != nil {
					part.A16, part.B16 = part.A16[i*g.ABatch+7*g.ARow:], part.B16[i*g.BBatch:]
				}
				(*Pool)(nil).Gemm(&part)
				if !slices.Equal(part.C[:g.N], first[i*g.CBatch+7*g.CRow:][:g.N]) {
					t.Fatalf("shape %v: a split of the rows gives other bits", s)
				}
			}
		}
	})
}

func TestGemmAllocatesNothing(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	g := randomGemm(rand.New(rand.NewPCG(5, 6)), 200, 64, 100, 1, false)
	p.Gemm(&g)
	p.Gemm(&g)
	if n := testing.AllocsPerRun(20, func() { p.Gemm(&g) }); n > 0.5 {
		t.Errorf("%g allocations per product, want 0", n)
	}
}

func TestGemmPropagatesNaNAndInf(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		nan, inf := float32(math.NaN()), float32(math.Inf(1))
		a, b, c := []float32{1, nan, inf, 1}, []float32{1, 0, 0, 1}, make([]float32, 4)
		(*Pool)(nil).Gemm(&Gemm{M: 2, N: 2, K: 2, Batch: 1, A: a, ARow: 2, ACol: 1, B: b, BRow: 2, BCol: 1, C: c, CRow: 2})
		if c[0] == c[0] || c[1] == c[1] || c[2] != inf || c[3] == c[3] {
			t.Errorf("product %v, want [NaN NaN +Inf NaN]", c)
		}
	})
}

// TestGemmRunIsGemm holds Run, with B packed before and A kept between two products, against the pool's bits.
func TestGemmRunIsGemm(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(8, 9))
		for i := range 60 {
			g := randomGemm(r, 1+r.IntN(200), 1+r.IntN(100), 1+r.IntN(600), 1, false)
			if i%2 == 0 {
				narrow(&g)
				g.BF16, g.C16 = true, make([]uint16, len(g.C))
			}
			p.Gemm(&g)
			q := g
			q.C, q.C16, q.Packed = make([]float32, len(g.C)), make([]uint16, len(g.C16)), make([]float32, g.PackedSize())
			if g.C16 == nil {
				q.C16 = nil
			}
			p.PackB(q.Packed, &g)
			q.B, q.B16 = nil, nil
			var s Scratch
			for range 2 {
				q.Run(&s)
				for row := range g.M {
					at := row * g.CRow
					same := slices.Equal(q.C[at:at+g.N], g.C[at:at+g.N])
					if g.C16 != nil {
						same = slices.Equal(q.C16[at:at+g.N], g.C16[at:at+g.N])
					}
					if !same {
						t.Fatalf("%dx%dx%d, bfloat16 %v: row %d differs", g.M, g.N, g.K, g.BF16, row)
					}
				}
				q.SameA = true
			}
		}
	})
}

func BenchmarkGemm(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name           string
		m, n, k, batch int
		at, bt         bool
		threads        int
	}{
		{"square2048", 2048, 2048, 2048, 1, false, false, 1},
		{"square2048", 2048, 2048, 2048, 1, false, false, 2},
		{"paper_up", 8 * 97, 3072, 512, 1, false, true, 1},
		{"paper_down", 8 * 97, 512, 1536, 1, false, true, 1},
		{"paper_dW", 3072, 512, 8 * 97, 1, true, false, 1},
		{"paper_mix", 1024, 512, 97, 8, false, false, 1},
		{"small_up", 64 * 97, 384, 64, 1, false, true, 1},
		{"head", 8 * 97, 11, 512, 1, false, true, 1},
		{"q", 32, 2, 512, 1, false, true, 1},
	} {
		b.Run(fmt.Sprintf("%s/threads=%d", c.name, c.threads), func(b *testing.B) {
			p := NewPool(c.threads)
			defer p.Close()
			g := Gemm{M: c.m, N: c.n, K: c.k, Batch: c.batch, A: normals(r, c.m*c.k), B: normals(r, c.k*c.n*c.batch), C: normals(r, c.m*c.n*c.batch),
				ARow: c.k, ACol: 1, BRow: c.n, BCol: 1, CRow: c.n, CBatch: c.m * c.n}
			if c.batch > 1 {
				g.BBatch = c.k * c.n
			}
			if c.at {
				g.ARow, g.ACol = 1, c.m
			}
			if c.bt {
				g.BRow, g.BCol = 1, c.k
			}
			p.Gemm(&g)
			b.ReportAllocs()
			for b.Loop() {
				p.Gemm(&g)
			}
			b.ReportMetric(2*float64(c.m)*float64(c.n)*float64(c.k)*float64(c.batch)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
