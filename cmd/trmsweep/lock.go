package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"trmsweep/internal/endpoint"
)

// errHeld says that a living process holds a lock file.
var errHeld = errors.New("another process holds it")

// holdFile locks a file until it is closed or this process is gone; errHeld
// where another has it. Without os.O_CREATE in flags the file must exist.
// It differs from github.com/gofrs/flock in that a file that was removed in between is opened anew.
func holdFile(path string, flags int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|flags, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			if errors.Is(err, syscall.EWOULDBLOCK) {
				err = errHeld
			}
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if named(f, path) {
			return f, nil
		}
		_ = f.Close() // removed in between: a lock on it keeps nobody off
	}
}

// named reports whether path still leads to the open file.
func named(f *os.File, path string) bool {
	open, err := f.Stat()
	there, perr := os.Stat(path)
	return err == nil && perr == nil && os.SameFile(open, there)
}

// holdState keeps stacks off a state folder; errHeld while one runs on it.
func holdState(state string, flags int) (*os.File, error) {
	return holdFile(filepath.Join(state, "devstack.lock"), flags)
}

// whoRuns names the stack of a state folder for messages.
func whoRuns(state string) string {
	s, err := endpoint.ReadStack(state)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d, Web UI %s)", s.PID, s.UI)
}

// errRunning refuses a second stack on a state folder.
func errRunning(state string) error {
	return fmt.Errorf("a stack already runs on %s%s: use that one, stop it (`trmsweep down --state %s`, or Ctrl-C where it was started), or give this one another --state", state, whoRuns(state), state)
}

// forgetAddresses removes what a stack that is gone has left, so that nobody
// takes it for the next one's. It refuses while a stack runs.
func forgetAddresses(state string) error {
	lock, err := holdState(state, os.O_CREATE)
	if errors.Is(err, errHeld) {
		return errRunning(state)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.Remove(filepath.Join(state, "devstack.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
