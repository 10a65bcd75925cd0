// Package aot compiles the programs of an experiment for a TPU on a machine without one,
// and estimates their memory and time.
//
//	experiment -> Capture      the programs that go-xla passes to a PJRT plugin, byte for byte
//	           -> Compiler     libtpu compiles them for a topology that is given by name
//	           -> Compiled     memory, floating-point operations and bytes, by the compiler
//	           -> Estimate     with the chip's peak rates: the least time of a step and of the run
//
// The package executes no program and downloads nothing. libtpu runs in a child process,
// because it aborts where another library would return an error, and because two XLA
// libraries in one process would share symbols.
package aot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrUnsupported says that this build or platform cannot compile for a TPU.
var ErrUnsupported = errors.New("this trmsweep cannot compile for a TPU: " +
	"it needs Linux and a build with cgo (a C compiler and CGO_ENABLED=1)")

// Program holds the arguments with which go-xla asks a plugin to compile.
type Program struct {
	Format  string `json:"format"`  // "mlir"
	Code    []byte `json:"code"`    // the StableHLO module
	Options []byte `json:"options"` // a serialized CompileOptionsProto
}

// Key returns a hash of everything in the program.
func (p Program) Key() string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(p.Format), p.Code, p.Options} {
		fmt.Fprintf(h, "%d ", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
