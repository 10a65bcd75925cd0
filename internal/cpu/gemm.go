package cpu

import "unsafe"

const (
	panelM, panelN = 8, 32
	blockM, blockK = 64, 512
)

// kernGo is the portable microkernel: c[8][32] += transpose(a[kc][8]) b[kc][32].
func kernGo(kc int, a, b, c *float32, ldc int) {
	as, bs := unsafe.Slice(a, kc*panelM), unsafe.Slice(b, kc*panelN)
	for i := range panelM {
		row := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(c), i*ldc*4)), panelN)
		for k := range kc {
			x, y := as[k*panelM+i], bs[k*panelN:k*panelN+panelN]
			for j := range row {
				row[j] += x * y[j]
			}
		}
	}
}

// matrix reads a strided operand through offset tables: element (i, k) of batch n is flat[batch[n]+outer[i]+inner[k]].
type matrix struct {
	flat                any
	batch, outer, inner []int
}

// pack writes rows [lo, lo+width) of the outer axis, all of the inner one, as dst[k*width+i], zeros beyond the end.
func (m matrix) pack(dst []float32, batch, lo, width int) {
	switch f := m.flat.(type) {
	case []float32:
		packRows(dst, f, m, batch, lo, width, func(x float32) float32 { return x })
	case []bf16:
		packRows(dst, f, m, batch, lo, width, bf16.Float32)
	}
}

func packRows[T float32 | bf16](dst []float32, src []T, m matrix, batch, lo, width int, to func(T) float32) {
	n := min(width, len(m.outer)-lo)
	outer := m.outer[lo : lo+n]
	if f, ok := any(src).([]float32); ok {
		for k, at := range m.inner {
			at += m.batch[batch]
			d := dst[k*width : k*width+width]
			for i, o := range outer {
				d[i] = f[at+o]
			}
			clear(d[n:])
		}
		return
	}
	for k, at := range m.inner {
		at += m.batch[batch]
		d := dst[k*width : k*width+width]
		for i, o := range outer {
			d[i] = to(src[at+o])
		}
		clear(d[n:])
	}
}

// gemm computes c[batch][m][n] = sum over k of a(m, k) b(n, k), in float32, in an order independent of threads.
func gemm(threads int, c []float32, a, b matrix, packedB []float32, scratch func(n int) ([]float32, func())) {
	batches, m, n, k := len(a.batch), len(a.outer), len(b.outer), len(a.inner)
	panelsN := (n + panelN - 1) / panelN
	parallel(threads, batches*panelsN, max(1, 65536/(k*panelN+1)), func(lo, hi int) {
		for p := lo; p < hi; p++ {
			b.pack(packedB[p*k*panelN:], p/panelsN, p%panelsN*panelN, panelN)
		}
	})
	blocks := (m + blockM - 1) / blockM
	grain := max(1, 1<<20/(blockM*n*k+1))
	parallel(threads, batches*blocks, grain, func(lo, hi int) {
		pa, free := scratch(blockM * k)
		defer free()
		var tile [panelM * panelN]float32
		for t := lo; t < hi; t++ {
			batch, i0 := t/blocks, t%blocks*blockM
			rows := min(blockM, m-i0)
			out := c[(batch*m+i0)*n : (batch*m+i0+rows)*n]
			clear(out)
			for i := 0; i < rows; i += panelM {
				a.pack(pa[i*k:], batch, i0+i, panelM)
			}
			for k0 := 0; k0 < k; k0 += blockK {
				kc := min(blockK, k-k0)
				for p := range panelsN {
					j := p * panelN
					pb := &packedB[((batch*panelsN+p)*k+k0)*panelN]
					for i := 0; i < rows; i += panelM {
						if i+panelM <= rows && j+panelN <= n {
							kern8x32(kc, &pa[i*k+k0*panelM], pb, &out[i*n+j], n)
							continue
						}
						clear(tile[:])
						kern8x32(kc, &pa[i*k+k0*panelM], pb, &tile[0], panelN)
						for y := range min(panelM, rows-i) {
							for x := range min(panelN, n-j) {
								out[(i+y)*n+j+x] += tile[y*panelN+x]
							}
						}
					}
				}
			}
		}
	})
}

// product64 is the plain matrix product for the types without a kernel.
func product64[T float64 | int32 | int64](threads int, c, x, y []T, a, b matrix) {
	m, n := len(a.outer), len(b.outer)
	parallel(threads, len(a.batch)*m*n, 256, func(lo, hi int) {
		for u := lo; u < hi; u++ {
			batch := u / (m * n)
			pa, pb := a.batch[batch]+a.outer[u/n%m], b.batch[batch]+b.outer[u%n]
			var sum T
			for k := range a.inner {
				sum += x[pa+a.inner[k]] * y[pb+b.inner[k]]
			}
			c[u] = sum
		}
	})
}
