package cpu

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/notimplemented"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/cpu/kernel"
)

// Name under which the backend is registered.
const Name = "cpu"

func init() { backends.Register(Name, New) }

// Backend runs graphs on the host's processor. Safe for concurrent use.
type Backend struct {
	notimplemented.Backend
	threads int
	dev     *device
}

var _ backends.Backend = (*Backend)(nil)

// New reads a configuration, "" or "threads=N", and makes a backend.
func New(config string) (backends.Backend, error) {
	if err := kernel.CheckRequested(); err != nil {
		return nil, fmt.Errorf("backend cpu: %w", err)
	}
	b := &Backend{threads: runtime.GOMAXPROCS(0)}
	for part := range strings.SplitSeq(config, ",") {
		if part == "" {
			continue
		}
		key, val, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(val)
		if key != "threads" || err != nil || n < 1 {
			return nil, fmt.Errorf("backend cpu: unknown option %q; the only one is threads=N with N of at least 1", part)
		}
		b.threads = n
	}
	b.dev = newDevice(b.threads)
	return b, nil
}

// Name returns "cpu".
func (b *Backend) Name() string { return Name }

// String returns the configuration that makes this backend again.
func (b *Backend) String() string { return fmt.Sprintf("cpu:threads=%d", b.threads) }

// Description names the matrix kernel in use and the threads.
func (b *Backend) Description() string {
	return fmt.Sprintf("Go CPU backend (%s, %d threads)", kernel.Current(), b.threads)
}

// Arithmetic names the kernels: the same ones give the same bits, for any number of threads.
func (b *Backend) Arithmetic() string { return "cpu " + kernel.Current().String() }

// DeviceDescription describes the only device.
func (b *Backend) DeviceDescription(backends.DeviceNum) string { return b.Description() }

// Capabilities lists the operations and data types that the builder accepts.
func (b *Backend) Capabilities() backends.Capabilities { return capabilities.Clone() }

// Builder starts a graph.
func (b *Backend) Builder(name string) backends.Builder { return newBuilder(b.dev, name) }

// Finalize drops the pooled memory; the backend takes no work afterwards.
func (b *Backend) Finalize() { b.dev.finalize() }

// IsFinalized reports whether Finalize was called.
func (b *Backend) IsFinalized() bool { return b.dev.finalized.Load() }

// BufferFinalize makes the buffer unusable; later results get its memory.
func (b *Backend) BufferFinalize(x backends.Buffer) error {
	buf, err := asBuffer(x)
	if err != nil {
		return err
	}
	b.dev.buffers.put(buf.shape.DType, buf.shape.Size(), buf.flat)
	buf.flat = nil
	return nil
}

// BufferShape returns the buffer's shape.
func (b *Backend) BufferShape(x backends.Buffer) (shapes.Shape, error) {
	buf, err := asBuffer(x)
	if err != nil {
		return shapes.Invalid(), err
	}
	return buf.shape, nil
}

// BufferDeviceNum returns 0: there is one device.
func (b *Backend) BufferDeviceNum(x backends.Buffer) (backends.DeviceNum, error) {
	_, err := asBuffer(x)
	return 0, err
}

// BufferToFlatData copies the buffer's values to a slice of the same type and length.
func (b *Backend) BufferToFlatData(x backends.Buffer, flat any) error {
	buf, err := asBuffer(x)
	if err != nil {
		return err
	}
	return copyFlat(flat, buf.flat)
}

// BufferFromFlatData copies a slice to a new buffer.
func (b *Backend) BufferFromFlatData(dev backends.DeviceNum, flat any, shape shapes.Shape) (backends.Buffer, error) {
	buf, err := b.dev.newBuffer(dev, shape)
	if err != nil {
		return nil, err
	}
	return buf, copyFlat(buf.flat, flat)
}

// HasSharedBuffers returns true: buffers live in host memory.
func (b *Backend) HasSharedBuffers() bool { return true }

// NewSharedBuffer makes a zeroed buffer and gives its slice.
func (b *Backend) NewSharedBuffer(dev backends.DeviceNum, shape shapes.Shape) (backends.Buffer, any, error) {
	buf, err := b.dev.newBuffer(dev, shape)
	if err != nil {
		return nil, nil, err
	}
	clearFlat(buf.flat)
	return buf, buf.flat, nil
}

// BufferData gives the buffer's own slice, valid until it is finalized or donated.
func (b *Backend) BufferData(x backends.Buffer) (any, error) {
	buf, err := asBuffer(x)
	if err != nil {
		return nil, err
	}
	return buf.flat, nil
}

// BufferCopyToDevice copies the buffer.
func (b *Backend) BufferCopyToDevice(x backends.Buffer, dev backends.DeviceNum) (backends.Buffer, error) {
	buf, err := asBuffer(x)
	if err != nil {
		return nil, err
	}
	return b.BufferFromFlatData(dev, buf.flat, buf.shape)
}
