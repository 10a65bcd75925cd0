// Package disk is a bucket in a directory: an object is a plain file at its
// key, readable with any tool. Next to them, under .trmsweep-store, lie the
// checksums, the locks and the files being written.
//
// The generation of an object is its file's modification time in nanoseconds,
// set before the file takes its name: the rename is the one point at which
// content and generation change together. Checksums are written before that
// point, for the old and the new generation, so a crash on either side of it
// leaves a pair that matches. Locks (flock) make Put and Delete atomic across
// processes; reading takes none. It needs a local POSIX file system, or a
// network one with working flock and nanosecond times.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"trmsweep/internal/blob"
)

const (
	hidden  = ".trmsweep-store"
	sumsDir = hidden + "/sums"
	lockDir = hidden + "/locks"
	tempDir = hidden + "/tmp"
)

// Bucket is a directory. It holds no open files between calls.
type Bucket struct {
	dir string
	now func() time.Time
	// lockWait is how long one operation waits for a lock.
	lockWait time.Duration
	// write fills a temporary file; tests replace it to fail as a full disk does.
	write func(dst io.Writer, src io.Reader) (int64, error)
}

var _ blob.Bucket = (*Bucket)(nil)

// Open makes the directory where it is missing and removes what dead writers left in it.
func Open(dir string) (*Bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	b := &Bucket{dir: dir, now: time.Now, lockWait: lockWait, write: copyBuffer}
	for _, d := range []string{sumsDir, lockDir, tempDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return nil, b.explain("open store", dir, err)
		}
	}
	if err := b.sweep(); err != nil {
		return nil, b.explain("open store", dir, err)
	}
	return b, nil
}

// OpenExisting opens a directory for a caller that only reads: nothing is made or
// removed in it, so that it may be read-only. It must be there.
func OpenExisting(dir string) (*Bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	b := &Bucket{dir: dir, now: time.Now, lockWait: lockWait, write: copyBuffer}
	st, err := os.Stat(dir)
	if err == nil && !st.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, b.explain("open store", dir, err)
	}
	return b, nil
}

// Dir is the absolute path of the directory.
func (b *Bucket) Dir() string { return b.dir }

func copyBuffer(dst io.Writer, src io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 1<<20))
}

func (b *Bucket) path(key string) string { return filepath.Join(b.dir, filepath.FromSlash(key)) }

func checkKey(key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if key == hidden || strings.HasPrefix(key, hidden+"/") {
		return fmt.Errorf("%w %q: %s is the store's own folder", blob.ErrKey, key, hidden)
	}
	return nil
}

// explain turns an operating system error into one that says what to do.
func (b *Bucket) explain(op, key string, err error) error {
	var hint string
	kind := error(nil)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint, kind = fmt.Sprintf("no space left in %s; free some and it goes on", b.dir), blob.ErrFull
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EIO),
		errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EBUSY):
		hint, kind = "the file system is in trouble", blob.ErrTransient
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		hint, kind = fmt.Sprintf("this user may not do that in %s; fix the permissions or choose another store", b.dir), blob.ErrDenied
	case op == "open store" && danglingLink(b.dir) != "":
		hint = fmt.Sprintf("it is a symbolic link to %s, which is not there; make that folder, or name another", danglingLink(b.dir))
	case op == "open store" && errors.Is(err, syscall.ENOTDIR):
		hint = "a file lies where a folder is needed; name another folder"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTEMPTY):
		hint = "a directory store cannot hold one object whose key is the folder of another"
	default:
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	if kind != nil {
		return fmt.Errorf("%s %s: %s: %w (%w)", op, key, hint, err, kind)
	}
	return fmt.Errorf("%s %s: %s: %w", op, key, hint, err)
}

// danglingLink is where a symbolic link at path leads if nothing is there; empty otherwise.
func danglingLink(path string) string {
	target, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return target
}

// current is the attributes of the object at key and, where its checksum has to
// be found by reading, all candidates.
func (b *Bucket) current(key string) (blob.Attr, []sum, error) {
	fi, err := os.Lstat(b.path(key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !fi.Mode().IsRegular() {
		return blob.Attr{}, nil, blob.ErrNotExist
	}
	if err != nil {
		return blob.Attr{}, nil, err
	}
	sums, err := b.readSums(key)
	if err != nil {
		return blob.Attr{}, nil, err
	}
	a := blob.Attr{Key: key, Size: fi.Size(), Generation: fi.ModTime().UnixNano(), Updated: fi.ModTime()}
	for _, s := range sums {
		if s.Generation == a.Generation {
			a.Size, a.CRC32C = s.Size, s.CRC32C
			return a, nil, nil
		}
	}
	if len(sums) > 0 {
		// Touched from outside. The content decides when it is read.
		newest := sums[len(sums)-1]
		a.Size, a.CRC32C = newest.Size, newest.CRC32C
		return a, sums, nil
	}
	// Put here by hand: there is nothing to check against.
	f, err := os.Open(b.path(key))
	if err != nil {
		return blob.Attr{}, nil, err
	}
	defer f.Close()
	a.CRC32C, err = blob.CRC32C(f, a.Size)
	return a, nil, err
}

// Stat is the object's attributes.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Attr, error) {
	if err := context.Cause(ctx); err != nil {
		return blob.Attr{}, fmt.Errorf("stat %s: %w", key, err)
	}
	if err := checkKey(key); err != nil {
		return blob.Attr{}, err
	}
	a, _, err := b.current(key)
	if err != nil {
		return blob.Attr{}, b.explain("stat", key, err)
	}
	return a, nil
}

// Get reads the file that has the key now, whatever replaces it later.
func (b *Bucket) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	if err := checkKey(key); err != nil {
		return nil, blob.Attr{}, err
	}
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, blob.Attr{}, fmt.Errorf("get %s: %w", key, err)
		}
		a, candidates, err := b.current(key)
		if err != nil {
			return nil, blob.Attr{}, b.explain("get", key, err)
		}
		f, err := os.Open(b.path(key))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted in between: current says so
		}
		if err != nil {
			return nil, blob.Attr{}, b.explain("get", key, err)
		}
		fi, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, blob.Attr{}, b.explain("get", key, err)
		}
		if fi.ModTime().UnixNano() != a.Generation {
			f.Close()
			continue // replaced in between
		}
		if generation != 0 && generation != a.Generation {
			f.Close()
			return nil, blob.Attr{}, fmt.Errorf("get %s at generation %d, it is at %d: %w", key, generation, a.Generation, blob.ErrNotExist)
		}
		for _, s := range candidates {
			if crc, err := blob.CRC32C(f, fi.Size()); err == nil && s.Size == fi.Size() && s.CRC32C == crc {
				a.Size, a.CRC32C = s.Size, s.CRC32C
				break
			}
		}
		return &reader{ctx: ctx, r: blob.VerifyReader(f, a), f: f}, a, nil
	}
}

type reader struct {
	ctx context.Context
	r   io.Reader
	f   *os.File
}

func (r *reader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (r *reader) Close() error { return r.f.Close() }
