package localstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Keep makes this process the only one that keeps a stack on the state folder, until
// done or its death. pid is what StopKeeper may stop; empty = nothing.
func Keep(state, pid string) (done func(), err error) {
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	file := filepath.Join(state, KeeperFile)
	lock, err := lockFile(file, os.O_CREATE)
	if errors.Is(err, ErrLocked) {
		return nil, errRunning(state)
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err = lock.Truncate(0); err == nil {
		_, err = lock.WriteAt([]byte(pid), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state folder: %w", err), lock.Close())
	}
	return func() {
		_ = os.Remove(file)
		_ = lock.Close()
	}, nil
}

// StopKeeper sends SIGTERM to the `up` that keeps the stack of the folder and waits for its end, after it has called
// signalled; false if no `up` does. What a killed one has left is removed: its pid may be another program's by now.
func StopKeeper(ctx context.Context, state string, signalled func(pid int)) (bool, error) {
	file := filepath.Join(state, KeeperFile)
	locked, err := isLocked(file)
	if err != nil || !locked {
		return false, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}
	if len(data) == 0 { // `run` keeps the stack
		return false, nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false, fmt.Errorf("stop process %d: %w", pid, err)
	}
	defer func() { _ = p.Release() }()
	// Still locked: the handle is the holder's, not that of a later process of the same number.
	if locked, err := isLocked(file); err != nil || !locked {
		return true, err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("stop process %d: %w", pid, err)
	}
	signalled(pid)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if locked, err := isLocked(file); err != nil || !locked {
			return true, err
		}
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-tick.C:
		}
	}
}
