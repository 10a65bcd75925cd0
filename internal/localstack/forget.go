package localstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// stateEntries are what a state folder may hold, as patterns of names.
var stateEntries = []string{
	stackLock, addressFile, addressFile + ".*", KeeperFile, workerLocks, "temporal.db", "temporal.db-wal", "temporal.db-shm",
	"temporal.version.json", "temporal.version.json.*", "gcs", "cache", "store", "logs", "sweeps",
}

var (
	// ErrEmpty: the folder is empty. Nobody knows whose it is, so it stays.
	ErrEmpty = errors.New("the folder is empty")
	// ErrForeign: the folder is no state folder, or holds something else too. It stays whole.
	ErrForeign = errors.New("nothing was deleted")
)

// Forget deletes a state folder and returns its size in bytes. A folder without
// the mark of the embedded stack, or with anything else in it, stays whole.
func Forget(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			return 0, fmt.Errorf("forget %s: not a folder: %w", dir, ErrForeign)
		}
		return 0, err
	}
	marked := false
	var strange []string
	for _, e := range entries {
		marked = marked || e.Name() == stackLock
		if !stateEntry(e.Name()) {
			strange = append(strange, e.Name())
		}
	}
	switch {
	case len(entries) == 0:
		return 0, ErrEmpty
	case !marked:
		return 0, fmt.Errorf("forget %s: not a state folder (no %s in it): %w", dir, stackLock, ErrForeign)
	case len(strange) > 0:
		return 0, fmt.Errorf("forget %s: it also holds %s, which trmsweep did not write: %w; move that elsewhere first",
			dir, strings.Join(strange, ", "), ErrForeign)
	}
	kept, err := isLocked(filepath.Join(dir, KeeperFile))
	var lock *os.File
	if err == nil && !kept {
		lock, err = LockState(dir)
	}
	if kept || errors.Is(err, ErrLocked) {
		return 0, fmt.Errorf("forget %s: a stack runs on it: stop it first (`trmsweep down`, or Ctrl-C where it was started)", dir)
	}
	if err != nil {
		return 0, fmt.Errorf("forget %s: %w", dir, err)
	}
	defer lock.Close()
	if err := refuseWorkers(dir); err != nil {
		return 0, fmt.Errorf("forget %s: %w", dir, err)
	}
	size, err := folderBytes(dir)
	if err != nil {
		return 0, fmt.Errorf("forget %s: %w", dir, err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return 0, fmt.Errorf("forget %s: %w", dir, err)
		}
	}
	return size, os.Remove(dir)
}

// refuseWorkers is an error while a worker has its files in the folder.
func refuseWorkers(dir string) error {
	workers, err := Workers(dir)
	switch {
	case err != nil:
		return err
	case len(workers) == 0:
		return nil
	case workers[0].Kept:
		return fmt.Errorf("a worker (process %d) has outlived its stack and works on: end it first with `trmsweep down`", workers[0].PID)
	}
	return fmt.Errorf("a worker (process %d) has its files there: stop it first", workers[0].PID)
}

func stateEntry(name string) bool {
	for _, pattern := range stateEntries {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

func folderBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
