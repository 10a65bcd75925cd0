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

// partMark is a part of the names of folders that are being filled.
const partMark = ".part-"

// ownMark is partMark with the name of this machine: if machines share a folder, the
// locks of other machines cannot always be seen.
var ownMark = func() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return partMark + host + "-"
}()

// A folder is opened and locked before it gets its final name. github.com/gofrs/flock
// cannot do that: it opens files by name.

// newPart makes a folder beside dir, to be filled and then renamed to dir. The folder is
// locked while its process lives. release removes it unless it was renamed. newPart first
// removes the folders of dead processes of this machine.
func newPart(dir string) (path string, release func(), err error) {
	parent, prefix := filepath.Dir(dir), "."+filepath.Base(dir)+ownMark
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", nil, diskError(err)
	}
	sweepParts(parent, prefix)
	// The folder must be locked before it has a name that sweepParts looks for.
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
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // some file systems have no locks
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

// withFreeName calls make with random suffixes until the name is free. os.MkdirTemp and
// os.CreateTemp do not serve: they deny access to other users, whatever the umask says.
func withFreeName(make func(suffix string) (*os.File, error)) (f *os.File, err error) {
	for range 100 {
		if f, err = make(rand.Text()[:10]); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, err
}

// sweepParts removes the folders of this machine with the prefix that no living process has locked.
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
