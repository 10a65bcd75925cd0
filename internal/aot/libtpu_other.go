//go:build !cgo || !linux

package aot

import (
	"io"
)

// Supported says why this program cannot compile for a TPU.
func Supported() error { return ErrUnsupported }

// Child is not possible here.
func Child(io.Reader) error { return ErrUnsupported }
