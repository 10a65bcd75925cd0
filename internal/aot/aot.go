// Package aot compiles the programs of an experiment for a TPU on a machine
// that has none. The programs are captured as go-xla hands them to a PJRT
// plugin, byte for byte, and libtpu compiles them for a topology that it is
// told of. The compiler says what a program needs and does: memory, floating-point
// operations, bytes; the rates of the chip turn these into the least time
// that a step can take.
//
// It executes nothing and downloads nothing. libtpu runs in a child process,
// because it aborts where another library would return an error and because two
// XLA libraries in one process share symbols.
package aot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrUnsupported says that this program was built without what it takes.
var ErrUnsupported = errors.New("this trmsweep cannot compile for a TPU: it needs Linux and a build with cgo (a C compiler and CGO_ENABLED=1)")

// Program is what go-xla asks a plugin to compile.
type Program struct {
	Format  string `json:"format"`  // "mlir"
	Code    []byte `json:"code"`    // the StableHLO module
	Options []byte `json:"options"` // a serialized CompileOptionsProto
}

// Key is a hash of everything in the program.
func (p Program) Key() string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(p.Format), p.Code, p.Options} {
		fmt.Fprintf(h, "%d ", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
