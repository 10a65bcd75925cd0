package backend

import (
	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/pjrt"
)

// Aliaser is implemented by builders of programs that can compute results in the memory of parameters.
type Aliaser interface {
	backends.Builder
	// Alias lets a result of the program (counted as in Compile) use the memory of a
	// parameter (counted as created) of the same type, in executions that donate the
	// parameter; other executions copy it first. It must be called before Compile.
	Alias(parameter, result int)
}

// Aliasing adds the method Alias to the builders of a backend of GoMLX's XLA. The texts of
// its programs must pass through pjrt.Finish before the plugin compiles them.
func Aliasing(b backends.Backend) backends.Backend { return aliasing{b} }

type aliasing struct{ backends.Backend }

type aliasBuilder struct {
	backends.Builder
	*pjrt.Module
}

var _ Aliaser = aliasBuilder{}

// Builder starts a program.
func (b aliasing) Builder(name string) backends.Builder { return newAliasBuilder(b.Backend, name) }

func newAliasBuilder(b backends.Backend, name string) aliasBuilder {
	m := pjrt.NewModule(name)
	return aliasBuilder{b.Builder(m.Name()), m}
}

// Name returns the program's original name.
func (b aliasBuilder) Name() string { return b.Module.Original() }
