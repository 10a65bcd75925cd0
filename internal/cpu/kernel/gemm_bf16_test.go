package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGemmBF16 compares with the float64 product of the widened operands.
func TestGemmBF16(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	edges := []int{0, 1, 2, 11, 13, 14, 15, 16, 17, 31, 32, 33, 47, 49, 63, 64, 65, 97, 159, 160, 161, 169}
	depths := []int{0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 255, 256, 257, 289, 513, 514}
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 150 {
			g := randomGemm(r, edges[r.IntN(len(edges))], edges[r.IntN(len(edges))], depths[r.IntN(len(depths))], 1+r.IntN(3), r.IntN(2) == 0)
			checkBF16(t, p, g)
		}
	})
}

// checkBF16 compares the products of g's operands, rounded to bfloat16, with the float64 ones; also as bfloat16 results.
func checkBF16(t *testing.T, p *Pool, g Gemm) {
	t.Helper()
	narrow(&g)
	start, wide := slices.Clone(g.C), g
	p.Gemm(&g)
	got := g.C
	wide.C, wide.A16, wide.B16 = start, nil, nil
	gap := func(i int) bool { row := i % max(g.CBatch, 1); return row%max(g.CRow, 1) >= g.N }
	for i := range got {
		if gap(i) && math.Float32bits(got[i]) != math.Float32bits(start[i]) {
			t.Fatalf("wrote the gap at %d", i)
		}
	}
	near64(t, wide, got)
	if g.Accumulate {
		return
	}
	const untouched = 0x1234
	g.C, g.C16 = make([]float32, len(start)), slices.Repeat([]uint16{untouched}, len(start))
	p.Gemm(&g)
	want := make([]uint16, len(got))
	ToBF16(want, got)
	for i := range want {
		inside := i/max(g.CBatch, 1) < g.Batch && i%max(g.CBatch, 1) < g.M*g.CRow && !gap(i)
		expected := uint16(untouched)
		if inside {
			expected = want[i]
		}
		if g.C16[i] != expected {
			t.Fatalf("%dx%dx%d batch %d: C16[%d] = %x, want %x (%g)", g.M, g.N, g.K, g.Batch, i, g.C16[i], want[i], got[i])
		}
	}
}

// narrow gives g bfloat16 operands and sets A and B to their exact values.
func narrow(g *Gemm) {
	g.A16, g.B16 = make([]uint16, len(g.A)), make([]uint16, len(g.B))
	ToBF16(g.A16, g.A)
	ToBF16(g.B16, g.B)
	FromBF16(g.A, g.A16)
	FromBF16(g.B, g.B16)
}

// near64 checks got against the float64 product of wide's operands, wide.C being the state before.
func near64(t *testing.T, g Gemm, got []float32) {
	t.Helper()
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
				if d := math.Abs(float64(got[at]) - s); !(d <= size*float64(g.K+2)*0x1p-24) {
					t.Fatalf("%dx%dx%d batch %d A %d,%d B %d,%d: C[%d] = %g, want %g",
						g.M, g.N, g.K, g.Batch, g.ARow, g.ACol, g.BRow, g.BCol, at, got[at], s)
				}
			}
		}
	}
}

// TestGemmBF16Specials states what the product of denormals, infinities and NaN is.
func TestGemmBF16Specials(t *testing.T) {
	const (
		one  = 0x3f80
		tiny = 0x0001
		inf  = 0x7f80
		nan  = 0x7fc0
	)
	everyLevel(t, func(t *testing.T) {
		for _, c := range []struct {
			name string
			a, b [2]uint16
			want float64
		}{
			{"infinity", [2]uint16{inf, one}, [2]uint16{one, one}, math.Inf(1)},
			{"infinity times zero", [2]uint16{inf, 0}, [2]uint16{0, 0}, math.NaN()},
			{"NaN", [2]uint16{nan, one}, [2]uint16{one, one}, math.NaN()},
			{"denormal", [2]uint16{tiny, 0}, [2]uint16{one, 0}, map[bool]float64{true: 0, false: 0x1p-133}[dotsPairsBF16 || hasTileRegisters]},
		} {
			out := make([]float32, 1)
			(*Pool)(nil).Gemm(&Gemm{M: 1, N: 1, K: 2, Batch: 1, A16: c.a[:], B16: c.b[:], ARow: 2, ACol: 1, BRow: 1, BCol: 2, C: out, CRow: 1})
			if got := float64(out[0]); got != c.want && !(got != got && c.want != c.want) {
				t.Errorf("%s: %g, want %g", c.name, got, c.want)
			}
		}
	})
}

func BenchmarkGemmBF16(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name           string
		m, n, k        int
		aAlong, bAlong bool // k lies side by side
	}{
		{"square2048", 2048, 2048, 2048, true, false},
		{"paper_up", 8 * 97, 3072, 512, true, true},
		{"paper_dW", 1536, 512, 8 * 97, false, false},
		{"small_up", 97, 256, 64, true, true},
		{"small_down", 97, 64, 256, true, true},
		{"small_mix", 64, 512, 97, false, true},
		{"small_dW", 256, 64, 64 * 97, false, false},
	} {
		g := Gemm{M: c.m, N: c.n, K: c.k, Batch: 1, A: normals(r, c.m*c.k), B: normals(r, c.k*c.n),
			C: make([]float32, c.m*c.n), C16: make([]uint16, c.m*c.n),
			ARow: 1, ACol: c.m, BRow: c.n, BCol: 1, CRow: c.n}
		if c.aAlong {
			g.ARow, g.ACol = c.k, 1
		}
		if c.bAlong {
			g.BRow, g.BCol = 1, c.k
		}
		narrow(&g)
		before := Current()
		for _, l := range Levels() {
			if l < AVX512 {
				continue
			}
			b.Run(fmt.Sprint(c.name, "/", l), func(b *testing.B) {
				_ = Use(l)
				cpu := cpuSeconds()
				for b.Loop() {
					(*Pool)(nil).Gemm(&g)
				}
				b.ReportMetric(2*float64(c.m)*float64(c.n)*float64(c.k)*float64(b.N)/(cpuSeconds()-cpu)/1e9, "GFLOP/CPU-s")
			})
		}
		_ = Use(before)
	}
}
