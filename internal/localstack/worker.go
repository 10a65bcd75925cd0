package localstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Worker is a worker that has its files in a state folder.
type Worker struct {
	PID int `json:"pid"`
	// Kept says that it belongs to the stack on the folder: when the keeper is gone it is an orphan.
	Kept bool `json:"kept,omitempty"`
	// NeedsStack says that it saves into the storage of the stack on the folder, and nowhere once that is gone.
	NeedsStack bool `json:"needs_stack,omitempty"`
}

// workerLocks is the pattern of the files that living workers lock.
const workerLocks = "worker.*.lock"

// HoldWorker says that this process is a worker of the state folder, until done or its death. Processes that inherit the
// file hold it too.
func HoldWorker(state string, w Worker) (lock *os.File, done func(), err error) {
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, nil, fmt.Errorf("state folder: %w", err)
	}
	file := filepath.Join(state, fmt.Sprintf("worker.%d.lock", w.PID))
	lock, err = lockFile(file, os.O_CREATE)
	if err != nil {
		return nil, nil, fmt.Errorf("state folder: %w", err)
	}
	if err := rewrite(lock, w); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("state folder: %w", err), lock.Close())
	}
	return lock, func() {
		_ = os.Remove(file)
		_ = lock.Close()
	}, nil
}

func rewrite(lock *os.File, w Worker) error {
	data, err := json.Marshal(w)
	if err == nil {
		err = lock.Truncate(0)
	}
	if err == nil {
		_, err = lock.WriteAt(data, 0)
	}
	return err
}

// Workers are the workers of the folder that live, or whose training does. The files of others are removed.
func Workers(state string) ([]Worker, error) {
	files, err := filepath.Glob(filepath.Join(globLiteral(state), workerLocks))
	if err != nil {
		return nil, err
	}
	var living []Worker
	for _, file := range files {
		locked, err := isLocked(file)
		if err != nil {
			return nil, err
		}
		if !locked {
			continue
		}
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) { // it has ended
			continue
		}
		var w Worker
		if err == nil {
			err = json.Unmarshal(data, &w)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		living = append(living, w)
	}
	return living, nil
}

// globLiteral quotes what is a pattern in the name of a folder.
func globLiteral(dir string) string {
	var out []rune
	for _, r := range dir {
		switch r {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

// saving is how long an orphan may take to end once its storage is gone: it may have saved before. Tests make it shorter.
var saving = 2 * time.Second

// StopOrphans ends the workers whose keeper was killed, and with them their training: it sends SIGTERM, tells signalled, and
// waits. One whose storage went with the stack cannot save any more and is killed. It returns how many there were.
func StopOrphans(ctx context.Context, state string, signalled func(pid int)) (int, error) {
	if kept, err := isLocked(filepath.Join(state, KeeperFile)); err != nil || kept {
		return 0, err
	}
	told := map[int]bool{}
	var stackless time.Time // since when no stack runs
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		orphans, err := orphans(state)
		if err != nil || len(orphans) == 0 {
			return len(told), err
		}
		if stackRuns(state) {
			stackless = time.Time{}
		} else if stackless.IsZero() {
			stackless = time.Now()
		}
		hopeless := !stackless.IsZero() && time.Since(stackless) > saving
		for _, w := range orphans {
			sig := syscall.SIGTERM
			switch {
			case hopeless && w.NeedsStack:
				sig = syscall.SIGKILL
			case told[w.PID]:
				continue
			}
			if err := syscall.Kill(w.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return len(told), fmt.Errorf("stop worker %d: %w", w.PID, err)
			}
			if !told[w.PID] {
				signalled(w.PID)
			}
			told[w.PID] = true
		}
		select {
		case <-ctx.Done():
			return len(told), ctx.Err()
		case <-tick.C:
		}
	}
}

func orphans(state string) ([]Worker, error) {
	workers, err := Workers(state)
	var kept []Worker
	for _, w := range workers {
		if w.Kept {
			kept = append(kept, w)
		}
	}
	return kept, err
}

// stackRuns reports whether the servers of a stack run on the folder.
func stackRuns(state string) bool {
	lock, err := LockState(state)
	if err == nil {
		_ = lock.Close()
	}
	return errors.Is(err, ErrLocked)
}

// AwaitStackEnd waits for the servers of a stack whose keeper was killed: they end by themselves within seconds. It reports
// whether they did within patience. It does not wait for a stack that has a keeper.
func AwaitStackEnd(ctx context.Context, state string, patience time.Duration) (bool, error) {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for waited := false; ; waited = true {
		kept, err := isLocked(filepath.Join(state, KeeperFile))
		switch {
		case err != nil, kept:
			return false, err
		case !stackRuns(state):
			return waited, nil
		case time.Now().After(deadline):
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
	}
}
