//go:build !linux

package supervise

import "syscall"

// attributes ties nothing: only Linux tells a child of its parent's death.
func attributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
