package supervise

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Tied calls work, which starts cmd and waits for its end, so that the child does not
// outlive this process: if this process is killed outright, the kernel sends death to
// the child. The child leads a process group of its own.
//
// The kernel sends the signal when the thread that started the child ends, so all of
// work stays on one thread.
func Tied(cmd *exec.Cmd, death syscall.Signal, work func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = attributes(death)
	return work()
}
