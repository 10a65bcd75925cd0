// Package disk is a bucket in a directory. An object is a plain file whose path is its
// key, so that any tool can read it. The folder .trmsweep-store beside the objects holds
// the checksums, the locks and the files being written.
//
// The generation of an object is its file's modification time in nanoseconds. It is
// set before the file is renamed to its final name: the rename changes content and
// generation at the same moment. The checksums of the old and the new generation are
// written before the rename, so that a crash before or after it leaves a content and
// a checksum that match. Locks (flock) make Put and Delete atomic across processes;
// reading takes no lock. The directory must be on a local POSIX file system, or on a
// network file system with working flock and nanosecond times.
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

// Bucket is a bucket in a directory. It keeps no files open between calls.
type Bucket struct {
	dir string
	now func() time.Time
	// lockWait is the longest time that an operation waits for a lock.
	lockWait time.Duration
	// write fills a temporary file. Tests replace it to simulate a full disk.
	write func(dst io.Writer, src io.Reader) (int64, error)
}

var _ blob.Bucket = (*Bucket)(nil)

// Open creates the directory if it is missing and removes temporary files of dead processes.
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

// OpenExisting opens an existing directory for a caller that only reads. It creates and
// removes nothing, so that the directory may be read-only.
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

// Dir returns the absolute path of the directory.
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

// explain adds advice to an error of the operating system and wraps the sentinel that applies.
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

// danglingLink returns the target of a symbolic link whose target does not exist; "" if path is anything else.
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

// current returns the attributes of the object at key. If its checksum can only be found
// by reading the object, it also returns all candidates.
func (b *Bucket) current(key string) (blob.Attr, []sum, error) {
	fi, err := os.Lstat(b.path(key))
	absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	irregular := err == nil && !fi.Mode().IsRegular()
	if absent || irregular {
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
		// The file was touched by another program. Reading the content shows which checksum applies.
		newest := sums[len(sums)-1]
		a.Size, a.CRC32C = newest.Size, newest.CRC32C
		return a, sums, nil
	}
	// The file was put here by hand: there is no checksum to compare with.
	f, err := os.Open(b.path(key))
	if err != nil {
		return blob.Attr{}, nil, err
	}
	defer f.Close()
	a.CRC32C, err = blob.CRC32C(f, a.Size)
	return a, nil, err
}

// Stat returns the object's attributes.
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

// Get opens the object as it is now. The reader keeps this content even if the object is replaced.
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
			continue // deleted in between: current will return the error
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
