//go:build !cgo || (!linux && !darwin)

package backend

import (
	"errors"

	"github.com/gomlx/gomlx/backends"
)

// openXLA is never called, because Check rejects the name first.
func openXLA(string, xlaName, Options) (backends.Backend, error) {
	return nil, errors.New("built without cgo")
}
