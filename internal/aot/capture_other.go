//go:build !cgo || !linux

package aot

import "github.com/gomlx/gomlx/backends"

// Capture is not possible here.
func Capture(func(backends.Backend) error) ([]Program, error) { return nil, ErrUnsupported }
