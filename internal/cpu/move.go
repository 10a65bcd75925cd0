package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"

	"trmsweep/internal/cpu/kernel"
)

// copyTo adds a copy of src to dst, which have equal dims and types.
func (g *group) copyTo(n *node, dst, src *value) {
	strides := [][]int{dst.strides, src.strides}
	if src.dt() == dtypes.Float32 || src.masks() && dst.masks() {
		g.emit(n, g.copyFloats(dst, src), dst, src)
		return
	}
	if g.tiles > 1 {
		c := copier{dst: dst, src: src, layout: newLayout(dst.dims, strides...)}
		g.emit(n, c.narrow, dst, src)
		return
	}
	var body func(w *worker, at []int, n int)
	l := g.newLoop(dst.dims, 1, []*value{dst, src}, strides, nil)
	switch src.dt() {
	case dtypes.Float64:
		body = copyRows[float64](l, dst, src)
	case dtypes.BFloat16:
		body = copyRows[bf16](l, dst, src)
	case dtypes.Int32:
		body = copyRows[int32](l, dst, src)
	case dtypes.Int64:
		body = copyRows[int64](l, dst, src)
	case dtypes.Uint32:
		body = copyRows[uint32](l, dst, src)
	case dtypes.Uint8:
		body = copyRows[uint8](l, dst, src)
	case dtypes.Bool:
		body = copyRows[bool](l, dst, src)
	}
	l.body = body
	g.emit(n, l.start, dst, src)
}

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

// copier copies 32-bit or, in a tile, narrower elements; matrices that lie transposed go through the transposing kernel.
type copier struct {
	layout
	dst, src   *value
	transposed bool // each pair of the two innermost axes is a dense matrix, the other way round in src
	outer      int
	pool       *kernel.Pool
}

func (g *group) copyFloats(dst, src *value) func(w *worker, tile int) {
	c := &copier{dst: dst, src: src, layout: newLayout(dst.dims, dst.strides, src.strides), pool: g.c.b.pool}
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

// Run implements kernel.Job.
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

// narrow copies one tile of bfloat16 values or of booleans, which become or stay masks.
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

// words copies 16-bit elements; where src does not run along the rows, 16 rows at a time.
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

func (g *group) concatenate(n *node, in []*value) *value {
	out, axis, off := g.alloc(n), n.data.(int), 0
	for _, v := range in {
		g.copyTo(n, out.part(out.off+off, v.dims, out.strides), v)
		off += v.dims[axis] * out.strides[axis]
	}
	return out
}

func (g *group) pad(n *node, in []*value) *value {
	out := g.alloc(n)
	g.copyTo(n, out, in[1].part(in[1].off, out.dims, make([]int, len(out.dims))))
	src := in[0].part(in[0].off, slices.Clone(in[0].dims), in[0].strides)
	dst := out.part(0, src.dims, slices.Clone(out.strides))
	for i, a := range n.data.([]backends.PadAxis) {
		step := a.Interior + 1
		first := 0
		if a.Start < 0 {
			first = (-a.Start + step - 1) / step
		}
		end := min(src.dims[i], (out.dims[i]-1-a.Start+step)/step)
		if out.dims[i]-1-a.Start < 0 || end <= first {
			return out
		}
		src.off += first * src.strides[i]
		dst.off += (a.Start + first*step) * out.strides[i]
		src.dims[i] = end - first
		dst.strides[i] *= step
	}
	g.copyTo(n, dst, src)
	return out
}

// indexVectors calls f for every vector in an index tensor, with the position along its other axes.
func indexVectors(v *value, axis int, f func(batch []int, index []int64)) {
	length, stride := 1, 0
	dims, strides := slices.Clone(v.dims), slices.Clone(v.strides)
	if axis < len(dims) {
		length, stride = dims[axis], strides[axis]
		dims, strides = slices.Delete(dims, axis, axis+1), slices.Delete(strides, axis, axis+1)
	}
	buf, batch := make([]int64, length), make([]int, len(dims))
	for i := range product(dims) {
		off := v.off
		for a := len(dims) - 1; a >= 0; a-- {
			batch[a] = i % dims[a]
			i /= dims[a]
			off += batch[a] * strides[a]
		}
		f(batch, loadCopy(buf, v.st.flat, off, stride, length))
	}
}

func (g *group) gather(n *node, in []*value) *value {
	sp, out, x := n.data.(gatherSpec), g.alloc(n), in[0]
	batchAxes := freeAxes(len(out.dims), sp.offset)
	var dims, from, to []int
	for a := range x.dims {
		if !slices.Contains(sp.collapsed, a) {
			to = append(to, out.strides[sp.offset[len(dims)]])
			dims, from = append(dims, sp.len[a]), append(from, x.strides[a])
		}
	}
	l := newLayout(dims, to, from)
	g.emit(n, func(*worker, int) {
		indexVectors(in[1], sp.vectorAxis, func(batch []int, index []int64) {
			src, dst := x.off, out.off
			for i, a := range sp.start {
				src += int(min(max(index[i], 0), int64(x.dims[a]-sp.len[a]))) * x.strides[a]
			}
			for i, a := range batchAxes {
				dst += batch[i] * out.strides[a]
			}
			l.each(func(at [2]int) { copyOne(out.st.flat, dst+at[0], x.st.flat, src+at[1]) })
		})
	}, append(in, out)...)
	return out
}

func (g *group) scatter(n *node, in []*value) *value {
	sp, updates := n.data.(scatterSpec), in[2]
	out := g.alloc(n)
	g.copyTo(n, out, in[0])
	batchAxes := freeAxes(len(updates.dims), sp.window)
	var dims, from, to []int
	extent := slices.Repeat([]int{1}, len(out.dims))
	for a := range out.dims {
		if !slices.Contains(sp.inserted, a) {
			w := sp.window[len(dims)]
			dims, from, to = append(dims, updates.dims[w]), append(from, updates.strides[w]), append(to, out.strides[a])
			extent[a] = updates.dims[w]
		}
	}
	l := newLayout(dims, to, from)
	g.emit(n, func(*worker, int) {
		indexVectors(in[1], sp.vectorAxis, func(batch []int, index []int64) {
			src, dst := updates.off, out.off
			for i, a := range sp.target {
				if index[i] < 0 || index[i] > int64(out.dims[a]-extent[a]) {
					return
				}
				dst += int(index[i]) * out.strides[a]
			}
			for i, a := range batchAxes {
				src += batch[i] * updates.strides[a]
			}
			l.each(func(at [2]int) { addOne(out.st.flat, dst+at[0], updates.st.flat, src+at[1]) })
		})
	}, append(in, out)...)
	return out
}

// each calls f with the offsets of every element of a layout of two operands.
func (l *layout) each(f func(at [2]int)) {
	for r := range l.rows() {
		at := [2]int{l.row(0, r), l.row(1, r)}
		for range l.length() {
			f(at)
			at[0] += l.inner(0)
			at[1] += l.inner(1)
		}
	}
}
