//go:build cgo && (linux || darwin)

package backend

import "github.com/gomlx/gomlx/backends/xla"

// init keeps GoMLX from downloading plugins: its download has no timeout.
func init() { xla.EnableAutoInstall(false) }
