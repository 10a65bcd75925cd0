package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"trmsweep/internal/blob"
)

// CacheLimit bounds the local cache of datasets, in bytes; the least recently used go first.
var CacheLimit int64 = 20 << 30

const manifestFile = "MANIFEST.json"

// manifest lists a dataset's files; it is stored last, so that it marks completeness.
type manifest struct {
	FormatVersion int        `json:"format_version"`
	Hash          string     `json:"hash"`
	Files         []fileInfo `json:"files"`
}

type fileInfo struct {
	Name   string `json:"name"` // relative, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Ensure returns a local folder with the dataset: the verified one in cacheDir, else
// fetched from the bucket's datasets/<hash>/, else built, and stored there once.
// Processes that share cacheDir do this one after the other. built says whether it was built here.
func Ensure(ctx context.Context, bucket blob.Bucket, o Options, cacheDir string, progress func(Progress)) (dir, hash string, built bool, err error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	if o, err = o.normal(); err != nil {
		return "", "", false, err
	}
	if o.CacheDir == "" {
		o.CacheDir = cacheDir
	}
	src, err := resolve(ctx, o, progress)
	if err != nil {
		return "", "", false, err
	}
	hash = o.identity(src)
	base := filepath.Join(cacheDir, "datasets")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", hash, false, diskError(err)
	}
	unlock, err := lock(ctx, filepath.Join(base, hash+".lock"))
	if err != nil {
		return "", hash, false, fmt.Errorf("lock dataset %s in %s: %w", hash[:12], base, err)
	}
	defer unlock()
	dir = filepath.Join(base, hash)
	remote := blob.Prefix(bucket, "datasets/"+hash+"/")

	m, err := readManifest(dir, hash)
	if err == nil {
		err = m.verify(ctx, dir)
	}
	if ctx.Err() != nil {
		return "", hash, false, ctx.Err()
	}
	if err != nil {
		if err := os.RemoveAll(dir); err != nil {
			return "", hash, false, fmt.Errorf("remove damaged dataset: %w", err)
		}
		if err := fetch(ctx, remote, hash, dir, progress); err != nil {
			if !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, blob.ErrCorrupt) {
				return "", hash, false, fmt.Errorf("fetch dataset %s: %w", hash[:12], err)
			}
			if _, err := Build(ctx, o, dir, progress); err != nil {
				return "", hash, false, err
			}
			built = true
			if m, err = makeManifest(ctx, dir, hash); err != nil {
				return "", hash, built, err
			}
			b, err := json.MarshalIndent(m, "", "  ")
			if err != nil {
				return "", hash, built, err
			}
			if err := copyAtomic(filepath.Join(dir, manifestFile), bytes.NewReader(append(b, '\n'))); err != nil {
				return "", hash, built, err
			}
		}
	}
	if err := store(ctx, remote, hash, dir); err != nil {
		return "", hash, built, fmt.Errorf("store dataset %s: %w", hash[:12], err)
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Join(dir, manifestFile), now, now) // for evict only
	evict(base, hash)
	return dir, hash, built, nil
}

func readManifest(dir, hash string) (manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return manifest{}, err
	}
	return parseManifest(b, hash)
}

func parseManifest(b []byte, hash string) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s: %w: %v", manifestFile, blob.ErrCorrupt, err)
	}
	if m.Hash != hash || len(m.Files) == 0 {
		return m, fmt.Errorf("%s: %w: it is of dataset %q", manifestFile, blob.ErrCorrupt, m.Hash)
	}
	for _, f := range m.Files {
		if !fs.ValidPath(f.Name) {
			return m, fmt.Errorf("%s: %w: file name %q", manifestFile, blob.ErrCorrupt, f.Name)
		}
	}
	return m, nil
}

func makeManifest(ctx context.Context, dir, hash string) (manifest, error) {
	m := manifest{FormatVersion: formatVersion, Hash: hash}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") { // see compactFile
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := hashFile(ctx, p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, fileInfo{filepath.ToSlash(rel), info.Size(), sum})
		return nil
	})
	return m, err
}

func (m manifest) verify(ctx context.Context, dir string) error {
	for _, f := range m.Files {
		sum, err := hashFile(ctx, filepath.Join(dir, filepath.FromSlash(f.Name)))
		if err != nil {
			return err
		}
		if sum != f.SHA256 {
			return fmt.Errorf("%s: %w", f.Name, blob.ErrCorrupt)
		}
	}
	return nil
}

// object is a file's key: its contents are in the name, so that two builders whose
// provenance differs cannot mix.
func (f fileInfo) object() string { return path.Join("files", f.SHA256[:16], f.Name) }

func fetch(ctx context.Context, remote blob.Bucket, hash, dir string, progress func(Progress)) error {
	b, _, err := blob.ReadAll(ctx, remote, manifestFile, 0)
	if err != nil {
		return err
	}
	m, err := parseManifest(b, hash)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+hash[:12]+".part-*")
	if err != nil {
		return diskError(err)
	}
	defer os.RemoveAll(tmp)
	for i, f := range m.Files {
		r, _, err := remote.Get(ctx, f.object(), 0)
		if err != nil {
			return err
		}
		p := filepath.Join(tmp, filepath.FromSlash(f.Name))
		err = copyAtomic(p, r)
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		progress(Progress{Stage: "download", Done: int64(i + 1), Total: int64(len(m.Files))})
	}
	if err := m.verify(ctx, tmp); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, manifestFile), b, 0o644); err != nil {
		return diskError(err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// store uploads what is not there yet; the manifest goes last.
func store(ctx context.Context, remote blob.Bucket, hash, dir string) error {
	old, _, err := blob.ReadAll(ctx, remote, manifestFile, 0)
	ifGen := blob.Absent
	switch {
	case err == nil:
		if _, err := parseManifest(old, hash); err == nil {
			return nil
		}
		ifGen = blob.Any // a damaged one
	case errors.Is(err, blob.ErrCorrupt):
		ifGen = blob.Any
	case !errors.Is(err, blob.ErrNotExist):
		return err
	}
	m, err := readManifest(dir, hash)
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := storeFile(ctx, remote, f.object(), filepath.Join(dir, filepath.FromSlash(f.Name))); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return err
	}
	if _, err = blob.PutBytes(ctx, remote, manifestFile, b, ifGen); errors.Is(err, blob.ErrPrecondition) {
		return nil // another builder was first
	}
	return err
}

func storeFile(ctx context.Context, remote blob.Bucket, key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err = remote.Put(ctx, key, f, st.Size(), blob.Absent); errors.Is(err, blob.ErrPrecondition) {
		return nil
	}
	return err
}

// lock waits for the file's lock; it goes with the process.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// evict removes the least recently used datasets beyond CacheLimit, but neither keep
// nor what was used in the last hour. Sets that are open stay readable.
func evict(base, keep string) {
	type entry struct {
		hash string
		size int64
		used time.Time
	}
	var all []entry
	var total int64
	dirs, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, d := range dirs {
		st, err := os.Stat(filepath.Join(base, d.Name(), manifestFile))
		if err != nil {
			continue
		}
		e := entry{d.Name(), 0, st.ModTime()}
		_ = filepath.WalkDir(filepath.Join(base, d.Name()), func(_ string, f fs.DirEntry, err error) error {
			if err == nil {
				if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
					e.size += info.Size()
				}
			}
			return nil
		})
		total += e.size
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int { return a.used.Compare(b.used) })
	for _, e := range all {
		if total <= CacheLimit {
			return
		}
		if e.hash == keep || time.Since(e.used) < time.Hour {
			continue
		}
		if os.RemoveAll(filepath.Join(base, e.hash)) == nil {
			total -= e.size
		}
	}
}

// HashDir names the contents of a dataset folder: a hex SHA-256 over the names and contents of its files, provenance aside.
func HashDir(dir string) (string, error) {
	m, err := makeManifest(context.Background(), dir, "")
	if err != nil {
		return "", inputf("read dataset: %v", err)
	}
	h := sha256.New()
	for _, f := range m.Files {
		if f.Name != provenanceFile && f.Name != manifestFile {
			fmt.Fprintf(h, "%s %s\n", f.SHA256, f.Name)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
