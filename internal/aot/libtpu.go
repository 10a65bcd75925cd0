//go:build cgo && linux

package aot

/*
#cgo CFLAGS: -I${SRCDIR}/../pjrt
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "libtpu.h"
*/
import "C"

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supported returns nil if this build can compile for a TPU, else ErrUnsupported.
func Supported() error { return nil }

// Child is the body of the child process. It reads one request, compiles it in this process and writes the answer to
// standard output. From then on, other writes to standard output go to standard error. The process must end afterwards.
func Child(in io.Reader) error {
	var r request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return errNoRequest
	}
	topology, err := ParseTopology(r.Topology)
	if err != nil {
		return err
	}
	fd, err := unix.Dup(1)
	if err != nil {
		return fmt.Errorf("keep standard output: %w", err)
	}
	if err := unix.Dup3(2, 1, 0); err != nil { // libtpu prints to standard output
		return fmt.Errorf("keep standard output: %w", err)
	}
	out := os.NewFile(uintptr(fd), "answer")
	defer out.Close()
	if err := json.NewEncoder(out).Encode(compile(r, topology)); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// compile loads libtpu into this process and compiles. The memory that it allocates is never freed.
func compile(r request, topology Topology) answer {
	var create [3]C.PJRT_NamedValue
	n := 0
	if topology.Chip.fused {
		C.aot_string(&create[n], C.CString("chip_config_name"), C.CString("megacore"))
		n++
	}
	if bounds := topology.hostBounds(); bounds != nil {
		values := (*C.int64_t)(C.CBytes(unsafe.Slice((*byte)(unsafe.Pointer(&bounds[0])), 8*len(bounds))))
		C.aot_ints(&create[n], C.CString("chips_per_host_bounds"), values, C.size_t(len(bounds)))
		C.aot_int(&create[n+1], C.CString("num_slices"), 1)
		n += 2
	}
	// The array must be in C memory, because it contains pointers to C memory.
	options := (*C.PJRT_NamedValue)(C.CBytes(unsafe.Slice((*byte)(unsafe.Pointer(&create)), int(unsafe.Sizeof(create)))))
	code, flags := r.Program.Code, r.Program.Options
	begin := time.Now()
	var result C.aot_result
	C.aot_compile(C.CString(r.Library), C.CString(topology.Name), options, C.size_t(n), C.CString(r.Program.Format),
		(*C.char)(C.CBytes(code)), C.size_t(len(code)), (*C.char)(C.CBytes(flags)), C.size_t(len(flags)), &result)
	a := answer{Compiled: Compiled{
		Seconds:       time.Since(begin).Seconds(),
		API:           fmt.Sprintf("%d.%d", result.api_major, result.api_minor),
		DeviceKind:    C.GoString(&result.device_kind[0]),
		Devices:       int(result.devices),
		Code:          int64(result.code),
		Arguments:     int64(result.arguments),
		Outputs:       int64(result.outputs),
		Aliases:       int64(result.aliases),
		Temporary:     int64(result.temporary),
		Serialized:    int64(result.serialized),
		FLOPs:         float64(result.flops),
		BytesAccessed: float64(result.bytes_accessed),
	}}
	if result.error != nil {
		a.Stage, a.Error = C.GoString(result.stage), C.GoString(result.error)
	}
	return a
}
