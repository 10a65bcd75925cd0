//go:build !cgo || !linux

package aot

import "github.com/gomlx/gomlx/backends"

// Capture returns ErrUnsupported on this platform.
func Capture(func(backends.Backend) error) ([]Program, error) { return nil, ErrUnsupported }
