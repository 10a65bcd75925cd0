package cpu

import (
	"unsafe"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/dtypes/bfloat16"
)

type bf16 = bfloat16.BFloat16

type element interface {
	~float32 | ~float64 | ~int32 | ~int64 | ~uint8 | ~uint32 | ~uint16 | ~bool
}

// place says where a storage's memory comes from.
type place uint8

const (
	inArena  place = iota // the executable's plan
	bound                 // a parameter, bound for one execution
	fixed                 // a constant
	returned              // an output: memory of its own in each execution
	inWorker              // the scratch of the thread that computes a tile; booleans lie there as float32 of 0 and 1
)

// storage is memory that values view.
type storage struct {
	flat        any // a slice of dt's type; nil for inWorker
	dt          dtypes.DType
	n           int // elements
	place       place
	first, last int // the operations between which it holds something
	at          int // where in the arena, in 64-byte lines
}

// value is a strided view of a storage; tile t of it starts t*step elements further.
type value struct {
	st            *storage
	off, step     int
	dims, strides []int
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

// f32 is the memory from the value's first element in a tile on.
func (v *value) f32(w *worker, tile int) []float32 {
	if v.st.place == inWorker {
		return w.arena[v.st.at*lineWords+v.off:]
	}
	return v.st.flat.([]float32)[v.off+tile*v.step:]
}

// all32 is the memory that the value's offset and strides count in, in a tile.
func (v *value) all32(w *worker, tile int) []float32 {
	if v.st.place == inWorker {
		return w.arena[v.st.at*lineWords:]
	}
	return v.st.flat.([]float32)[tile*v.step:]
}

// u16 is f32 for bfloat16.
func (v *value) u16(w *worker, tile int) []uint16 {
	if v.st.place == inWorker {
		p := w.arena[v.st.at*lineWords:]
		return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(p))), 2*len(p))[v.off:]
	}
	return words(v.st.flat.([]bf16))[v.off+tile*v.step:]
}

// clear sets a dense value of float32 or bfloat16 to 0.
func (v *value) clear(w *worker, tile int) {
	if v.dt() == dtypes.BFloat16 {
		clear(v.u16(w, tile)[:v.size()])
		return
	}
	clear(v.f32(w, tile)[:v.size()])
}

// masks says whether elements are float32 of 0 and 1 that stand for booleans.
func (v *value) masks() bool { return v.st.place == inWorker && v.st.dt == dtypes.Bool }

func (v *value) bool(w *worker, tile, at int) bool {
	if v.masks() {
		return v.f32(w, tile)[at] != 0
	}
	return v.st.flat.([]bool)[v.off+tile*v.step+at]
}

func (v *value) setBool(w *worker, tile, at int, b bool) {
	if v.masks() {
		v.f32(w, tile)[at] = truth[float32](b)
		return
	}
	v.st.flat.([]bool)[v.off+tile*v.step+at] = b
}

// words are the bits of bfloat16 values.
func words(x []bf16) []uint16 { return unsafe.Slice((*uint16)(unsafe.SliceData(x)), len(x)) }

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

func denseStrides(dims []int) []int {
	s, n := make([]int, len(dims)), 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = n
		n *= dims[i]
	}
	return s
}

// part is another view of the same storage.
func (v *value) part(off int, dims, strides []int) *value {
	return &value{st: v.st, off: off, step: v.step, dims: dims, strides: strides}
}

// broadcastTo gives the strides that read v as if it had dims (v scalar, or of equal rank with dimensions 1 repeated).
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

// reshaped gives the strides of a view under other dimensions; false where only a copy has them.
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
	run, left := len(d)-1, 1 // left: what remains of the current run, from the right
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
