package cpu

import (
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/dtypes/bfloat16"
)

// roundBF16 rounds to nearest even; a NaN stays one.
func roundBF16(x float32) bf16 {
	u := math.Float32bits(x)
	if x != x {
		return bf16(u>>16 | 0x40)
	}
	return bf16((u + 0x7fff + u>>16&1) >> 16)
}

// load reads n elements of any type as C: it returns the memory itself if it already is a dense slice of C, else it converts to buf.
func load[C number](buf []C, flat any, at, stride, n int) []C {
	if s, ok := flat.([]C); ok && stride == 1 {
		return s[at : at+n]
	}
	return loadCopy(buf, flat, at, stride, n)
}

// loadCopy is load that always converts to buf.
func loadCopy[C number](buf []C, flat any, at, stride, n int) []C {
	buf = buf[:n]
	switch s := flat.(type) {
	case []float32:
		spread(buf, s, at, stride)
	case []float64:
		spread(buf, s, at, stride)
	case []int32:
		spread(buf, s, at, stride)
	case []int64:
		spread(buf, s, at, stride)
	case []uint32:
		spread(buf, s, at, stride)
	case []uint8:
		spread(buf, s, at, stride)
	case []bf16:
		for i := range buf {
			buf[i] = C(s[at].Float32())
			at += stride
		}
	case []bool:
		for i := range buf {
			buf[i] = truth[C](s[at])
			at += stride
		}
	}
	return buf
}

// spread converts elements that lie stride apart.
func spread[C number, S float32 | float64 | int32 | int64 | uint32 | uint8](dst []C, s []S, at, stride int) {
	if stride == 0 && len(dst) > 0 {
		v := C(s[at])
		for i := range dst {
			dst[i] = v
		}
		return
	}
	for i := range dst {
		dst[i] = C(s[at])
		at += stride
	}
}

// store writes values at flat[at:], converted to its type; bfloat16 rounds to nearest even.
func store[C number](flat any, at int, src []C) {
	switch d := flat.(type) {
	case []float32:
		storeAs(d[at:], src)
	case []float64:
		storeAs(d[at:], src)
	case []int32:
		storeAs(d[at:], src)
	case []int64:
		storeAs(d[at:], src)
	case []uint32:
		storeAs(d[at:], src)
	case []uint8:
		storeAs(d[at:], src)
	case []bf16:
		for i, v := range src {
			d[at+i] = roundBF16(float32(v))
		}
	case []bool:
		for i, v := range src {
			d[at+i] = v != 0
		}
	}
}

// storeAs converts elements.
func storeAs[C number, D float32 | float64 | int32 | int64 | uint32 | uint8](dst []D, src []C) {
	for i, v := range src {
		dst[i] = D(v)
	}
}

// addOne adds the element src[s] to dst[d], slices of one type.
func addOne(dst any, d int, src any, s int) {
	switch dst.(type) {
	case []float32, []bf16:
		combine[float32](dst, d, src, s)
	case []float64:
		combine[float64](dst, d, src, s)
	default:
		combine[int64](dst, d, src, s)
	}
}

// combine is addOne in class C.
func combine[C number](dst any, d int, src any, s int) {
	var a, b [1]C
	loadCopy(a[:], dst, d, 0, 1)
	loadCopy(b[:], src, s, 0, 1)
	a[0] += b[0]
	store(dst, d, a[:])
}

// copyOne copies the element src[s] to dst[d], slices of one type.
func copyOne(dst any, d int, src any, s int) {
	if from, ok := src.([]float64); ok {
		dst.([]float64)[d] = from[s]
		return
	}
	var a [1]int64
	var f [1]float32
	switch dst.(type) {
	case []float32, []bf16:
		store(dst, d, loadCopy(f[:], src, s, 0, 1))
	default:
		store(dst, d, loadCopy(a[:], src, s, 0, 1))
	}
}

type bf16 = bfloat16.BFloat16

// element lists the types of memory.
type element interface {
	~float32 | ~float64 | ~int32 | ~int64 | ~uint8 | ~uint32 | ~uint16 | ~bool
}

// number lists the classes that arithmetic is done in: bfloat16 computes in float32, every integer and bool in int64.
type number interface{ float32 | float64 | int64 }

// truth is a boolean as a number.
func truth[T number](b bool) T {
	if b {
		return 1
	}
	return 0
}

// newFlat makes a zeroed slice.
func newFlat(dt dtypes.DType, n int) any {
	flat := reflect.MakeSlice(reflect.SliceOf(dt.GoType()), n, n)
	advise(flat.UnsafePointer(), uintptr(n)*dt.GoType().Size())
	return flat.Interface()
}

// clearFlat sets a slice to zeros.
func clearFlat(flat any) {
	switch s := flat.(type) {
	case []float32:
		clear(s)
	case []float64:
		clear(s)
	case []bf16:
		clear(s)
	case []int32:
		clear(s)
	case []int64:
		clear(s)
	case []uint32:
		clear(s)
	case []uint8:
		clear(s)
	case []bool:
		clear(s)
	}
}

// copyFlat copies a slice to one of the same type and length.
func copyFlat(dst, src any) error {
	d, s := reflect.ValueOf(dst), reflect.ValueOf(src)
	if d.Kind() != reflect.Slice || d.Type() != s.Type() || d.Len() != s.Len() {
		return fmt.Errorf("backend cpu: copy %T to %T: types and lengths must be equal", src, dst)
	}
	reflect.Copy(d, s)
	return nil
}

// words are the bits of bfloat16 values.
func words(x []bf16) []uint16 { return unsafe.Slice((*uint16)(unsafe.SliceData(x)), len(x)) }
