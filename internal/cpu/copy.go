package cpu

import (
	"trmsweep/internal/cpu/kernel"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// copyTo emits a copy of src to dst, which have equal dims and types.
func (g *group) copyTo(n *node, dst, src *value) {
	strides := [][]int{dst.strides, src.strides}
	masks := src.st.isMask() && dst.st.isMask()
	if masks || src.dt() == dtypes.Float32 {
		g.emit(n, g.copyFloats(dst, src), dst, src)
		return
	}
	if g.tiles > 1 {
		c := copier{dst: dst, src: src, layout: newLayout(dst.dims, strides...)}
		g.emit(n, c.narrow, dst, src)
		return
	}
	l := g.newLoop(dst.dims, 1, []*value{dst, src}, strides)
	switch src.dt() {
	case dtypes.Float64:
		l.body = copyRows[float64](l, dst, src)
	case dtypes.BFloat16:
		l.body = copyRows[bf16](l, dst, src)
	case dtypes.Int32:
		l.body = copyRows[int32](l, dst, src)
	case dtypes.Int64:
		l.body = copyRows[int64](l, dst, src)
	case dtypes.Uint32:
		l.body = copyRows[uint32](l, dst, src)
	case dtypes.Uint8:
		l.body = copyRows[uint8](l, dst, src)
	case dtypes.Bool:
		l.body = copyRows[bool](l, dst, src)
	}
	g.emit(n, l.start, dst, src)
}

// copyRows is the body of a loop that copies elements of any type.
func copyRows[T element](l *loop, dst, src *value) func(w *worker, at []int, n int) {
	ds, ss := l.inner(0), l.inner(1)
	return func(_ *worker, at []int, n int) {
		to, from := dst.st.flat.([]T), src.st.flat.([]T)
		d, s := at[0], at[1]
		if ds == 1 && ss == 1 {
			copy(to[d:d+n], from[s:s+n])
			return
		}
		for range n {
			to[d] = from[s]
			d += ds
			s += ss
		}
	}
}

// copier copies 32-bit elements, or the narrower elements of a tile. Matrices that lie transposed go through the transposing kernel.
type copier struct {
	layout
	dst, src   *value
	transposed bool // the two innermost axes are a dense matrix in dst and its transpose in src
	outer      int  // rows, or matrices if they are transposed
	pool       *kernel.Pool
}

func (g *group) copyFloats(dst, src *value) func(w *worker, tile int) {
	c := &copier{dst: dst, src: src, layout: newLayout(dst.dims, dst.strides, src.strides), pool: g.c.dev.pool}
	if k := len(c.dims) - 2; k >= 0 {
		r, cols := c.dims[k], c.dims[k+1]
		d, s := c.strides[0], c.strides[1]
		c.transposed = d[k+1] == 1 && d[k] == cols && s[k] == 1 && s[k+1] == r
	}
	c.outer = c.rows()
	if c.transposed {
		c.outer /= c.dims[len(c.dims)-2]
	}
	if g.tiles > 1 {
		return func(w *worker, tile int) { c.floats(w, tile, 0, c.outer) }
	}
	grain := max(1, 32768/max(1, c.size()/max(1, c.outer)), (c.outer+63)/64)
	return func(*worker, int) { c.pool.Run(c.outer, grain, c) }
}

func (c *copier) size() int { return product(c.dims) }

// Run implements kernel.Job; the range counts as outer does.
func (c *copier) Run(lo, hi int) { c.floats(nil, 0, lo, hi) }

func (c *copier) floats(w *worker, tile, lo, hi int) {
	dst, src := c.dst.all32(w, tile), c.src.all32(w, tile)
	to, from := c.dst.off, c.src.off
	last := len(c.dims) - 1
	if c.transposed {
		r, cols := c.dims[last-1], c.dims[last]
		for u := lo; u < hi; u++ {
			d, s := to+c.row(0, u*r), from+c.row(1, u*r)
			kernel.Transpose(dst[d:d+r*cols], src[s:s+r*cols], 1, cols, r)
		}
		return
	}
	n, ds, ss := c.dims[last], c.strides[0][last], c.strides[1][last]
	for u := lo; u < hi; u++ {
		d, s := to+c.row(0, u), from+c.row(1, u)
		switch {
		case ds == 1 && ss == 1:
			copy(dst[d:d+n], src[s:s+n])
		case ds == 1 && ss == 0:
			kernel.Fill(dst[d:d+n], src[s])
		default:
			for range n {
				dst[d] = src[s]
				d += ds
				s += ss
			}
		}
	}
}

// narrow copies one tile of bfloat16 values or of booleans, of which one side may be a mask.
func (c *copier) narrow(w *worker, tile int) {
	if c.dst.dt() == dtypes.BFloat16 {
		c.words(c.dst.u16(w, tile), c.src.u16(w, tile))
		return
	}
	ds, ss := c.inner(0), c.inner(1)
	for u := range c.rows() {
		d, s := c.row(0, u), c.row(1, u)
		for range c.length() {
			c.dst.setBool(w, tile, d, c.src.bool(w, tile, s))
			d, s = d+ds, s+ss
		}
	}
}

// words copies 16-bit elements, 16 rows at a time if src does not run along the rows.
func (c *copier) words(dst, src []uint16) {
	n, ds, ss := c.length(), c.inner(0), c.inner(1)
	last := len(c.dims) - 1
	if ss == 1 || last == 0 {
		for u := range c.rows() {
			d, s := c.row(0, u), c.row(1, u)
			if ds == 1 && ss == 1 {
				copy(dst[d:d+n], src[s:s+n])
				continue
			}
			for range n {
				dst[d] = src[s]
				d, s = d+ds, s+ss
			}
		}
		return
	}
	rows := c.dims[last-1]
	dr, sr := c.strides[0][last-1], c.strides[1][last-1]
	for u := 0; u < c.rows(); u += rows {
		d0, s0 := c.row(0, u), c.row(1, u)
		for r0 := 0; r0 < rows; r0 += 16 {
			m := min(16, rows-r0)
			d, s := d0+r0*dr, s0+r0*sr
			for range n {
				to, from := d, s
				for range m {
					dst[to] = src[from]
					to, from = to+dr, from+sr
				}
				d, s = d+ds, s+ss
			}
		}
	}
}

// copyDense copies a view to memory of its own, shared with other groups or not.
func (g *group) copyDense(n *node, v *value, shared bool) *value {
	out := g.allocAs(v.dt(), v.dims, shared)
	g.copyTo(n, out, v)
	return out
}
