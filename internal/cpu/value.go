package cpu

import (
	"unsafe"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// memorySpace says where a storage's memory lies.
type memorySpace uint8

const (
	inArena     memorySpace = iota // the arena that an execution borrows
	inParameter                    // the device buffer of a parameter, bound for one execution
	inConstant                     // a constant of the graph
	inResult                       // a device buffer that an execution returns
	inWorker                       // the scratch memory of the thread that computes a tile
)

// storage is memory that values view.
type storage struct {
	flat        any // a slice of dt's type; nil in a worker
	dt          dtypes.DType
	n           int // elements
	space       memorySpace
	first, last int // the first and last step that use it
	line        int // its first line of 64 bytes in the arena or in the worker's memory
}

// isMask reports whether booleans lie in the storage as float32 of 0 and 1, as they do in a worker.
func (st *storage) isMask() bool { return st.space == inWorker && st.dt == dtypes.Bool }

// value is a strided view of a storage. Tile t of it starts t*tileStride elements further.
type value struct {
	st              *storage
	off, tileStride int
	dims, strides   []int
}

func (v *value) dt() dtypes.DType { return v.st.dt }

func (v *value) size() int { return product(v.dims) }

func (v *value) contiguous() bool {
	want := 1
	for i := len(v.dims) - 1; i >= 0; i-- {
		if v.dims[i] != 1 && v.strides[i] != want {
			return false
		}
		want *= v.dims[i]
	}
	return true
}

// f32 returns the memory from the value's first element in a tile.
func (v *value) f32(w *worker, tile int) []float32 {
	if v.st.space == inWorker {
		return w.arena[v.st.line*lineWords+v.off:]
	}
	return v.st.flat.([]float32)[v.off+tile*v.tileStride:]
}

// all32 returns the memory of a tile from where the value's offset and strides count.
func (v *value) all32(w *worker, tile int) []float32 {
	if v.st.space == inWorker {
		return w.arena[v.st.line*lineWords:]
	}
	return v.st.flat.([]float32)[tile*v.tileStride:]
}

// u16 returns the same as f32 for bfloat16.
func (v *value) u16(w *worker, tile int) []uint16 {
	if v.st.space == inWorker {
		p := w.arena[v.st.line*lineWords:]
		return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(p))), 2*len(p))[v.off:]
	}
	return words(v.st.flat.([]bf16))[v.off+tile*v.tileStride:]
}

// clear sets a dense value of float32 or bfloat16 to 0.
func (v *value) clear(w *worker, tile int) {
	if v.dt() == dtypes.BFloat16 {
		clear(v.u16(w, tile)[:v.size()])
		return
	}
	clear(v.f32(w, tile)[:v.size()])
}

// isFloat32 reports whether the elements are float32 in memory, masks included.
func (v *value) isFloat32() bool { return v.dt() == dtypes.Float32 || v.st.isMask() }

// bool reads an element that may be a mask.
func (v *value) bool(w *worker, tile, at int) bool {
	if v.st.isMask() {
		return v.f32(w, tile)[at] != 0
	}
	return v.st.flat.([]bool)[v.off+tile*v.tileStride+at]
}

// setBool writes an element that may be a mask.
func (v *value) setBool(w *worker, tile, at int, b bool) {
	if v.st.isMask() {
		v.f32(w, tile)[at] = truth[float32](b)
		return
	}
	v.st.flat.([]bool)[v.off+tile*v.tileStride+at] = b
}

// dense is a value that is a whole storage in row-major order.
func dense(st *storage, dims []int) *value {
	return &value{st: st, dims: dims, strides: denseStrides(dims)}
}

// product is the number of elements under dimensions.
func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// denseStrides are those of row-major order.
func denseStrides(dims []int) []int {
	s := make([]int, len(dims))
	n := 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = n
		n *= dims[i]
	}
	return s
}

// part returns another view of the same storage.
func (v *value) part(off int, dims, strides []int) *value {
	return &value{st: v.st, off: off, tileStride: v.tileStride, dims: dims, strides: strides}
}

// broadcastTo returns the strides that read v as if it had dims. v is a scalar, or of equal rank with dimensions of 1 repeated.
func (v *value) broadcastTo(dims []int) []int {
	s := make([]int, len(dims))
	if len(v.dims) != len(dims) {
		return s
	}
	for i := range dims {
		if v.dims[i] != 1 {
			s[i] = v.strides[i]
		}
	}
	return s
}

// reshaped returns the strides of a view under other dimensions. It fails if only a copy has them.
func reshaped(dims, strides, to []int) ([]int, bool) {
	if product(to) == 0 {
		return denseStrides(to), true
	}
	var d, s []int // without axes of 1, runs merged
	for i := range dims {
		switch last := len(d) - 1; {
		case dims[i] == 1:
		case last >= 0 && s[last] == strides[i]*dims[i]:
			d[last], s[last] = d[last]*dims[i], strides[i]
		default:
			d, s = append(d, dims[i]), append(s, strides[i])
		}
	}
	out := make([]int, len(to))
	run := len(d) - 1
	left := 1 // of the current run's elements, from the right
	if run >= 0 {
		left = d[run]
	}
	inner := 1
	for i := len(to) - 1; i >= 0; i-- {
		if to[i] == 1 {
			continue
		}
		if left == 1 {
			run--
			left, inner = d[run], 1
		}
		if left%to[i] != 0 {
			return nil, false
		}
		out[i] = s[run] * inner
		inner *= to[i]
		left /= to[i]
	}
	return out, true
}

// matrix is a value read as a batch of matrices, as one operand of a matrix product: inner is the axis that is contracted.
type matrix struct {
	v                   *value
	batch, outer, inner axis
}

// axis is a run of adjacent axes that one stride walks.
type axis struct{ dim, stride int }

// mergeAxes folds axes of a view into one, outermost first. It fails if no single stride, forwards, reaches every element.
func mergeAxes(v *value, axes []int) (axis, bool) {
	a := axis{dim: 1}
	for _, i := range axes {
		d, s := v.dims[i], v.strides[i]
		switch {
		case d == 1:
		case s < 0:
			return a, false
		case a.dim == 1:
			a = axis{d, s}
		case a.stride == d*s:
			a = axis{a.dim * d, s}
		default:
			return a, false
		}
	}
	return a, true
}

// findAxes merges the axes of each part. It fails if one part needs more than one stride.
func (s *matrix) findAxes(batch, outer, inner []int) bool {
	var ok [3]bool
	s.batch, ok[0] = mergeAxes(s.v, batch)
	s.outer, ok[1] = mergeAxes(s.v, outer)
	s.inner, ok[2] = mergeAxes(s.v, inner)
	return ok == [3]bool{true, true, true}
}
