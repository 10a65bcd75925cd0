package disk

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"trmsweep/internal/blob"
)

// Put writes a temporary file, syncs it to disk and renames it under the key's lock.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	if err := context.Cause(ctx); err != nil {
		return blob.Attr{}, fmt.Errorf("put %s: %w", key, err)
	}
	if err := checkKey(key); err != nil {
		return blob.Attr{}, err
	}
	if ifGen != blob.Any { // fails early, before the data is copied
		if err := b.match(key, ifGen); err != nil {
			return blob.Attr{}, b.explain("put", key, err)
		}
	}
	temp, crc, err := b.stage(ctx, body, size)
	if err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	defer temp.discard()

	unlock, lock, err := b.lock(ctx, key)
	if err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	defer unlock()
	if err := b.match(key, ifGen); err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	generation, err := b.nextGeneration(lock)
	if err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	t := time.Unix(0, generation)
	if err := os.Chtimes(temp.path, t, t); err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	if err := temp.f.Sync(); err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	if err := b.addSum(ctx, key, sum{Generation: generation, Size: size, CRC32C: crc}); err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	if err := b.install(temp, b.path(key)); err != nil {
		return blob.Attr{}, b.explain("put", key, err)
	}
	return blob.Attr{Key: key, Size: size, Generation: generation, CRC32C: crc, Updated: t}, nil
}

// match returns an error unless the object is at generation ifGen.
func (b *Bucket) match(key string, ifGen int64) error {
	if ifGen == blob.Any {
		return nil
	}
	a, _, err := b.current(key)
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	if a.Generation != ifGen {
		return fmt.Errorf("wanted generation %d, it is at %d: %w", ifGen, a.Generation, blob.ErrPrecondition)
	}
	return nil
}

// Delete removes the object, its checksums and folders that become empty.
func (b *Bucket) Delete(ctx context.Context, key string, generation int64) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if err := checkKey(key); err != nil {
		return err
	}
	unlock, _, err := b.lock(ctx, key)
	if err != nil {
		return b.explain("delete", key, err)
	}
	defer unlock()
	if _, _, err := b.current(key); err != nil {
		return b.explain("delete", key, err)
	}
	if err := b.match(key, generation); err != nil {
		return b.explain("delete", key, err)
	}
	for _, path := range []string{b.path(key), b.sumsPath(key)} {
		mayBeMissing := path != b.path(key)
		err := os.Remove(path)
		if mayBeMissing && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return b.explain("delete", key, err)
		}
	}
	b.prune(filepath.Dir(b.path(key)), b.dir)
	b.prune(filepath.Dir(b.sumsPath(key)), filepath.Join(b.dir, sumsDir))
	return nil
}

// prune removes empty folders from dir upwards, but not root itself.
func (b *Bucket) prune(dir, root string) {
	for dir != root && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
	_ = syncDir(dir)
}

// tempFile is a file being written. It is locked as long as its process lives.
type tempFile struct {
	f    *os.File
	path string
}

func (t *tempFile) discard() {
	if t.path != "" {
		os.Remove(t.path)
	}
	t.f.Close()
}

// stage copies body into a temporary file and syncs it to disk.
func (b *Bucket) stage(ctx context.Context, body io.ReaderAt, size int64) (*tempFile, uint32, error) {
	t, err := b.temp()
	if err != nil {
		return nil, 0, err
	}
	h := crc32.New(blob.Castagnoli)
	n, err := b.write(t.f, io.TeeReader(&contextReader{ctx, io.NewSectionReader(body, 0, size)}, h))
	if err == nil && n != size {
		err = fmt.Errorf("source has %d bytes where %d were announced: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = t.f.Sync()
	}
	if err != nil {
		t.discard()
		return nil, 0, err
	}
	return t, h.Sum32(), nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// install renames the temporary file to path and syncs the folder to disk.
func (b *Bucket) install(t *tempFile, path string) error {
	for {
		made, err := mkdirAll(filepath.Dir(path))
		if err != nil {
			return err
		}
		err = os.Rename(t.path, path)
		if errors.Is(err, fs.ErrNotExist) {
			if _, serr := os.Lstat(t.path); serr == nil {
				continue // a Delete of another process removed the empty folder
			}
		}
		if err != nil {
			return err
		}
		t.path = ""
		for _, dir := range append(made, filepath.Dir(path)) {
			if err := syncDir(dir); err != nil {
				return err
			}
		}
		return nil
	}
}

// mkdirAll creates a folder and its parents. It returns the parents of the folders that it created.
func mkdirAll(dir string) (parents []string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		parents = append(parents, filepath.Dir(d))
	}
	return parents, os.MkdirAll(dir, 0o777)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer d.Close()
	return d.Sync()
}
