package protocol

import (
	"errors"
	"syscall"

	"trmsweep/internal/blob"
)

// Fault says whether a failure is the host's, so that another host may do better.
type Fault string

// Faults of a host.
const (
	FaultUnknown Fault = ""      // the host's or not
	FaultHost    Fault = "host"  // the host's, and may pass: its disk is full
	FaultUnfit   Fault = "unfit" // the host's for good: it lacks what the run needs, as memory or a backend
)

// hostErrors are what the kernel says when something of the machine is used up or broken.
var hostErrors = []syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE,
}

// FaultOf is FaultHost if an error says that something of this machine is used up or broken that other
// machines have too. A store without room is the same from every host.
func FaultOf(err error) Fault {
	if errors.Is(err, blob.ErrFull) {
		return FaultUnknown
	}
	for _, errno := range hostErrors {
		if errors.Is(err, errno) {
			return FaultHost
		}
	}
	return FaultUnknown
}
