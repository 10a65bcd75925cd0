package backend

import (
	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/pjrt"
)

// Aliaser is a builder whose programs can compute results in the memory of parameters.
type Aliaser interface {
	backends.Builder
	// Alias lets a result of the program (counted as in Compile) take the memory of a
	// parameter (counted as created) of the same type. It happens in executions that
	// donate the parameter; others copy it first. It is called before Compile.
	Alias(parameter, result int)
}

// Aliasing gives the builders of a backend of GoMLX's XLA the method Alias. The programs that its plugin
// is then given have to go through pjrt.Finish.
func Aliasing(b backends.Backend) backends.Backend { return aliasing{b} }

type aliasing struct{ backends.Backend }

type aliasBuilder struct {
	backends.Builder
	*pjrt.Module
}

var _ Aliaser = aliasBuilder{}

// Builder starts a program.
func (b aliasing) Builder(name string) backends.Builder { return newAliasBuilder(b.Backend, name) }

func newAliasBuilder(b backends.Backend, name string) backends.Builder {
	m := pjrt.NewModule(name)
	return aliasBuilder{b.Builder(m.Name()), m}
}

// Name is the program's own name.
func (b aliasBuilder) Name() string { return b.Module.Original() }
