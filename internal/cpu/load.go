package cpu

import "math"

// roundBF16 rounds to nearest even; a NaN stays one.
func roundBF16(x float32) bf16 {
	u := math.Float32bits(x)
	if x != x {
		return bf16(u>>16 | 0x40)
	}
	return bf16((u + 0x7fff + u>>16&1) >> 16)
}

// load reads n elements of any type as C: the memory itself where it is already so, else converted in buf.
func load[C number](buf []C, flat any, at, stride, n int) []C {
	if s, ok := flat.([]C); ok && stride == 1 {
		return s[at : at+n]
	}
	return loadCopy(buf, flat, at, stride, n)
}

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
		narrow(d[at:], src)
	case []float64:
		narrow(d[at:], src)
	case []int32:
		narrow(d[at:], src)
	case []int64:
		narrow(d[at:], src)
	case []uint32:
		narrow(d[at:], src)
	case []uint8:
		narrow(d[at:], src)
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

func narrow[C number, D float32 | float64 | int32 | int64 | uint32 | uint8](dst []D, src []C) {
	for i, v := range src {
		dst[i] = D(v)
	}
}

// addOne adds the element src[s] to dst[d], slices of one type; copyOne copies it.
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

func combine[C number](dst any, d int, src any, s int) {
	var a, b [1]C
	loadCopy(a[:], dst, d, 0, 1)
	loadCopy(b[:], src, s, 0, 1)
	a[0] += b[0]
	store(dst, d, a[:])
}

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
