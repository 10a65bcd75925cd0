//go:build !cgo || !linux

package aot

import (
	"io"
)

// Supported returns ErrUnsupported on this platform.
func Supported() error { return ErrUnsupported }

// Child returns ErrUnsupported on this platform.
func Child(io.Reader) error { return ErrUnsupported }
