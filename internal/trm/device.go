package trm

import (
	"fmt"
	"reflect"
	"slices"
	"unsafe"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/tensor"
)

// deviceBuffer is a named array on the backend. Programs know it by pointer: it stays while its values change with every step.
type deviceBuffer struct {
	name       string
	shape      shapes.Shape
	buf        backends.Buffer // nil: no values
	spare      backends.Buffer // a handle without memory, for the next values
	hostValues any             // the values that feed gave: the host's slice of buf itself, or a copy
}

var toGoMLX = map[tensor.DType]dtypes.DType{tensor.F32: dtypes.Float32, tensor.F64: dtypes.Float64, tensor.BF16: dtypes.BFloat16,
	tensor.I32: dtypes.Int32, tensor.I64: dtypes.Int64, tensor.U8: dtypes.Uint8, tensor.Bool: dtypes.Bool}

func newDeviceBuffer(name string, dt tensor.DType, shape ...int) *deviceBuffer {
	return &deviceBuffer{name: name, shape: shapes.Make(toGoMLX[dt], shape...)}
}

// device is a backend and how values reach it.
type device struct {
	backends.Backend
	host bool // it computes in the host's memory, and takes donations
}

func newDevice(b backends.Backend) device {
	return device{Backend: b, host: b != nil && b.Name() == "cpu"}
}

// drop frees the values.
func (d device) drop(arrays ...*deviceBuffer) {
	for _, a := range arrays {
		if a.buf != nil {
			_ = d.BufferFinalize(a.buf)
			a.buf, a.spare, a.hostValues = nil, a.buf, nil
		}
	}
}

// load copies values from the host; nil data are zeros.
func (d device) load(a *deviceBuffer, data []byte) error {
	flat := a.slice()
	copy(rawBytes(flat), data)
	buf, err := d.BufferFromFlatData(0, flat.Interface(), a.shape)
	if err != nil {
		return err
	}
	d.drop(a)
	a.buf, a.hostValues = buf, nil
	return nil
}

// feed gives an array values for the next execution. If the backend computes in the host's memory, they are copied to memory that is made
// once. Otherwise they are sent, unless they are the same as before: the ids of a data set that has one, the rates after the warm-up.
func feed[T comparable](d device, a *deviceBuffer, values []T) (err error) {
	if !d.host {
		if last, ok := a.hostValues.([]T); ok && a.buf != nil && slices.Equal(last, values) {
			return nil
		}
		d.drop(a)
		a.buf, err = d.BufferFromFlatData(0, values, a.shape)
		a.hostValues = slices.Clone(values)
		return err
	}
	if a.buf == nil {
		if a.buf, a.hostValues, err = d.NewSharedBuffer(0, a.shape); err != nil {
			return err
		}
	}
	copy(a.hostValues.([]T), values)
	return nil
}

// read copies the values to the host.
func (d device) read(a *deviceBuffer, to []byte) error {
	if a.buf == nil {
		return fmt.Errorf("copy %q to the host: it has no values", a.name)
	}
	if d.host {
		flat, err := d.BufferData(a.buf)
		if err != nil {
			return fmt.Errorf("copy %q to the host: %w", a.name, err)
		}
		copy(to, rawBytes(reflect.ValueOf(flat)))
		return nil
	}
	flat := a.slice()
	if err := d.BufferToFlatData(a.buf, flat.Interface()); err != nil {
		return fmt.Errorf("copy %q to the host: %w", a.name, err)
	}
	copy(to, rawBytes(flat))
	return nil
}

// slice makes host memory of the array's type and size.
func (a *deviceBuffer) slice() reflect.Value {
	return reflect.MakeSlice(reflect.SliceOf(a.shape.DType.GoType()), a.shape.Size(), a.shape.Size())
}

func rawBytes(flat reflect.Value) []byte {
	return unsafe.Slice((*byte)(flat.UnsafePointer()), flat.Len()*int(flat.Type().Elem().Size()))
}
