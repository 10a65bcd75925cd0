package dataset

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// partMark is in the names of folders that are being filled.
const partMark = ".part-"

// ownMark is partMark on this machine: locks of others cannot always be seen where
// machines share a folder.
var ownMark = func() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return partMark + host + "-"
}()

// A folder is locked through the handle that was opened before it got its name, which
// github.com/gofrs/flock, made for files by name, cannot do.

// newPart makes a folder beside dir to be filled and renamed. It is locked while
// its process lives, and gone after release unless it was renamed. Those that dead
// processes of this machine left are removed first.
func newPart(dir string) (path string, release func(), err error) {
	parent, prefix := filepath.Dir(dir), "."+filepath.Base(dir)+ownMark
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", nil, diskError(err)
	}
	sweepParts(parent, prefix)
	// Locked before it has the name that sweepParts looks for.
	var hidden string
	_, err = withFreeName(func(suffix string) (*os.File, error) {
		hidden = filepath.Join(parent, ".new-"+suffix)
		return nil, os.Mkdir(hidden, 0o755)
	})
	if err != nil {
		return "", nil, diskError(err)
	}
	path = filepath.Join(parent, prefix+strings.TrimPrefix(filepath.Base(hidden), ".new-"))
	f, err := os.Open(hidden)
	if err == nil {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // some file systems have none
		err = os.Rename(hidden, path)
	}
	release = func() {
		os.RemoveAll(path)
		f.Close()
	}
	if err != nil {
		os.RemoveAll(hidden)
		return "", nil, diskError(err)
	}
	return path, release, nil
}

// withFreeName calls make with suffixes until one is free. os.MkdirTemp and
// os.CreateTemp choose permissions that shut everybody else out, whatever the umask says.
func withFreeName(make func(suffix string) (*os.File, error)) (f *os.File, err error) {
	for range 100 {
		if f, err = make(rand.Text()[:10]); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, err
}

// sweepParts removes this machine's folders with the prefix that no living process holds.
func sweepParts(parent, prefix string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) || !strings.Contains(e.Name(), ownMark) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(path)
		}
		f.Close()
	}
}
