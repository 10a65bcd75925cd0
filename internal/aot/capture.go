//go:build cgo && linux

package aot

/*
#cgo CFLAGS: -I${SRCDIR}/../pjrt
#include "capture.h"
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/xla"

	"trmsweep/internal/backend"
	"trmsweep/internal/pjrt"
)

// capturePath is the plugin's name in GoMLX. It is an absolute path, which keeps GoMLX from loading every plugin on its search path.
const capturePath = "/trmsweep/capture"

// registered registers the plugin with go-xla once.
var registered = sync.OnceValue(func() error {
	return pjrt.Register(capturePath, C.capture_api())
})

// capturing serializes captures, because the plugin has only one list.
var capturing sync.Mutex

// Capture calls build with a backend that only records, and returns the programs that build
// compiled, in that order, with the aliases that a real plugin would receive.
func Capture(build func(backends.Backend) error) (programs []Program, err error) {
	capturing.Lock()
	defer capturing.Unlock()
	if err := registered(); err != nil {
		return nil, fmt.Errorf("register the capturing plugin: %w", err)
	}
	b, err := xla.NewWithOptions(capturePath, nil)
	if err != nil {
		return nil, fmt.Errorf("open the capturing plugin: %w", err)
	}
	defer b.Finalize()
	C.capture_free(C.capture_take())
	err = build(backend.Aliasing(b))
	list := C.capture_take()
	defer C.capture_free(list)
	if err != nil {
		return nil, err
	}
	for c := list; c != nil; c = c.next {
		programs = append(programs, Program{
			Format:  C.GoStringN(c.format, C.int(c.format_size)),
			Code:    pjrt.Finish(C.GoBytes(unsafe.Pointer(c.code), C.int(c.code_size))),
			Options: C.GoBytes(unsafe.Pointer(c.options), C.int(c.options_size)),
		})
	}
	return programs, nil
}
