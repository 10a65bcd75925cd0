//go:build unix

package kernel

import (
	"syscall"
	"time"
)

// cpuSeconds is the processor time that the process has used: what a busy machine disturbs least.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
