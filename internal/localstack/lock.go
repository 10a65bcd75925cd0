// Package localstack keeps the processes of the embedded stack on a state folder: the servers (devstack) and one worker,
// started again when they die and stopped in order; the storage emulator alone, for whoever only reads results; and the
// locks that make one process the folder's keeper. It knows nothing of what the processes do, and opens no store.
//
// Locks, files of the folder that their holder locks for as long as it lives, say what runs there:
//
//	devstack.lock   held by the servers (cmd/devstack): a stack runs
//	up.pid          held by whoever keeps the stack: an `up`, whose pid is in it, or a `run`, when it is empty
//	worker.*.lock   held by a worker, which outlives a killed keeper, and by its training processes: a Worker is in it
package localstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"trmsweep/internal/endpoint"
)

// Files of a state folder.
const (
	stackLock   = "devstack.lock"
	addressFile = "devstack.json"
	// KeeperFile is locked by the process that keeps the stack.
	KeeperFile = "up.pid"
)

// ErrLocked says that a living process holds a lock file.
var ErrLocked = errors.New("another process holds it")

// lockFile locks a file until it is closed or this process is gone; ErrLocked
// if another has it. Without os.O_CREATE in flags the file must exist.
// It differs from github.com/gofrs/flock in that a file that was removed in between is opened anew.
func lockFile(path string, flags int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|flags, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			if errors.Is(err, syscall.EWOULDBLOCK) {
				err = ErrLocked
			}
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if leadsTo(path, f) {
			return f, nil
		}
		_ = f.Close() // removed in between: a lock on it keeps nobody off
	}
}

// leadsTo reports whether path still leads to the open file.
func leadsTo(path string, f *os.File) bool {
	open, err := f.Stat()
	there, perr := os.Stat(path)
	return err == nil && perr == nil && os.SameFile(open, there)
}

// isLocked reports whether a living process has locked the file; one that is
// left over is removed.
func isLocked(file string) (bool, error) {
	lock, err := lockFile(file, 0)
	switch {
	case errors.Is(err, ErrLocked):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, errors.Join(os.Remove(file), lock.Close())
}

// LockState keeps stacks off a state folder until the file is closed; ErrLocked while one runs on it, fs.ErrNotExist
// where none ever did.
func LockState(state string) (*os.File, error) { return lockFile(filepath.Join(state, stackLock), 0) }

// Description names the stack of a state folder for messages; empty if none runs.
func Description(state string) string {
	s, err := endpoint.ReadStack(state)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d, Web UI %s)", s.PID, s.UI)
}

// errRunning refuses a second stack on a state folder.
func errRunning(state string) error {
	return fmt.Errorf("a stack already runs on %s%s: use that one, "+
		"stop it (`trmsweep down`, or Ctrl-C where it was started), or give this one another --state",
		state, Description(state))
}

// removeAddresses removes what a stack that is gone has left, so that nobody
// takes it for the next one's. It refuses while a stack runs.
func removeAddresses(state string) error {
	lock, err := lockFile(filepath.Join(state, stackLock), os.O_CREATE)
	if errors.Is(err, ErrLocked) {
		return errRunning(state)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.Remove(filepath.Join(state, addressFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
