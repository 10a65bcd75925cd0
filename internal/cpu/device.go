package cpu

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/cpu/kernel"
)

// device is the host as one GoMLX device: its threads, and the memory that is kept for the next use.
type device struct {
	pool      *kernel.Pool
	workers   workerPool
	buffers   bufferPool
	arenas    arenaPool
	finalized atomic.Bool
}

// newDevice starts the threads; they end when nothing refers to the device any more.
func newDevice(threads int) *device {
	d := &device{pool: kernel.NewPool(threads)}
	runtime.AddCleanup(d, (*kernel.Pool).Close, d.pool)
	return d
}

// finalize drops the pooled memory. The device takes no work afterwards.
func (d *device) finalize() {
	d.finalized.Store(true)
	d.buffers.drop()
	d.arenas.drop()
}

// buffer is a device buffer. flat is nil once it is finalized or donated.
type buffer struct {
	shape shapes.Shape
	flat  any
}

func asBuffer(x backends.Buffer) (*buffer, error) {
	buf, ok := x.(*buffer)
	if !ok || buf == nil || buf.flat == nil {
		return nil, fmt.Errorf("backend cpu: buffer is finalized, donated or of another backend (%T)", x)
	}
	return buf, nil
}

// newBuffer makes a buffer with memory that may have been used before.
func (d *device) newBuffer(num backends.DeviceNum, shape shapes.Shape) (*buffer, error) {
	if num != 0 {
		return nil, fmt.Errorf("backend cpu: device %d: there is only device 0", num)
	}
	if !capabilities.DTypes[shape.DType] {
		return nil, fmt.Errorf("backend cpu: data type %s is not supported", shape.DType)
	}
	return &buffer{shape: shape, flat: d.buffers.get(shape.DType, shape.Size())}, nil
}
