// Package tensor holds named host arrays: the currency in which the model, the
// checkpoint format and the training loop exchange state. It knows no
// framework and does no arithmetic.
package tensor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// DType is an element type, spelled as safetensors spells it.
type DType string

// The element types that training state uses.
const (
	F32  DType = "F32"
	F64  DType = "F64"
	BF16 DType = "BF16"
	I32  DType = "I32"
	I64  DType = "I64"
	U8   DType = "U8"
	Bool DType = "BOOL"
)

// Size is the number of bytes of one element, 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case F64, I64:
		return 8
	case F32, I32:
		return 4
	case BF16:
		return 2
	case U8, Bool:
		return 1
	}
	return 0
}

// Array is a dense array: little-endian, row-major. Data is owned by whoever
// made the Array; receivers must not modify it unless the maker says so.
type Array struct {
	DType DType
	Shape []int
	Data  []byte
}

// Len is the number of elements.
func (a Array) Len() int {
	n := 1
	for _, d := range a.Shape {
		n *= d
	}
	return n
}

// Check reports whether the data has the length that type and shape ask for.
func (a Array) Check() error {
	if a.DType.Size() == 0 {
		return fmt.Errorf("array of unknown element type %q", a.DType)
	}
	if want := a.Len() * a.DType.Size(); len(a.Data) != want {
		return fmt.Errorf("%s array of shape %v has %d bytes, want %d", a.DType, a.Shape, len(a.Data), want)
	}
	return nil
}

// Finite reports whether no element is NaN or infinite.
func (a Array) Finite() bool {
	size := a.DType.Size()
	if a.DType != F32 && a.DType != BF16 {
		return true
	}
	const exponent = 0x7f80 // of the two highest bytes; all of its bits are set in NaN and infinity only
	for end := size; end <= len(a.Data); end += size {
		if binary.LittleEndian.Uint16(a.Data[end-2:end])&exponent == exponent {
			return false
		}
	}
	return true
}

// State is a set of named arrays.
type State map[string]Array

// Names are the names in sorted order.
func (s State) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Bytes is the total size of the data.
func (s State) Bytes() int64 {
	var n int64
	for _, a := range s {
		n += int64(len(a.Data))
	}
	return n
}

// SHA256 is the hex digest of all names, types, shapes and bytes in the order
// of the names. Two states are the same training state exactly when their
// digests are equal.
func (s State) SHA256() string {
	h := sha256.New()
	num := func(n int) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	for _, name := range s.Names() {
		a := s[name]
		num(len(name))
		h.Write([]byte(name))
		num(len(a.DType))
		h.Write([]byte(a.DType))
		num(len(a.Shape))
		for _, d := range a.Shape {
			num(d)
		}
		num(len(a.Data))
		h.Write(a.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}
