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
	"regexp"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
)

const manifestFile = layout.ManifestFile

// manifest lists the files of a dataset. It is stored last: a dataset with a manifest is complete.
type manifest struct {
	FormatVersion int        `json:"format_version"`
	Hash          string     `json:"hash"`
	Files         []fileInfo `json:"files"`
}

type fileInfo struct {
	Name   string `json:"name"` // path relative to the dataset's folder, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Ensured is a dataset that is in the cache and in the bucket.
type Ensured struct {
	Dir   string // the local folder
	Hash  string
	Built bool // by this call
}

// Ensure returns a local folder with the dataset and its hash. It takes the first of these
// that succeeds: the verified folder in cacheDir, a copy from the bucket's
// datasets/<hash>/, a new build, which it also stores there. Processes that share cacheDir
// wait for each other. A source that was downloaded once for this bucket is not read again: see record.
func Ensure(ctx context.Context, bucket blob.Bucket, o Options, cacheDir string, progress func(Progress)) (Ensured, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	o, end, err := o.begin()
	defer end()
	if err != nil {
		return Ensured{}, err
	}
	if o.CacheDir == "" {
		o.CacheDir = cacheDir
	}
	name, err := o.recordName(ctx)
	if err != nil {
		return Ensured{}, err
	}
	if known, ok := readRecord(ctx, bucket, name); ok {
		dir, err := obtain(ctx, bucket, known, cacheDir, progress, func(string) error { return blob.ErrNotExist })
		if !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, blob.ErrCorrupt) {
			return Ensured{Dir: dir, Hash: known}, err
		}
	}
	src, err := resolve(ctx, o, progress)
	if err != nil {
		return Ensured{}, err
	}
	d := Ensured{Hash: o.identity(src)}
	d.Dir, err = obtain(ctx, bucket, d.Hash, cacheDir, progress, func(dir string) error {
		d.Built = true
		_, err := Build(ctx, o, dir, progress)
		return err
	})
	if err != nil {
		return Ensured{Hash: d.Hash, Built: d.Built}, err
	}
	return d, writeRecord(ctx, bucket, name, o.Source, d.Hash)
}

// LocalHash computes the hash of the dataset that o would make of files of this host,
// without making it. It is empty if the source is not a local file or cannot be read.
func LocalHash(ctx context.Context, o Options) (string, error) {
	o, err := o.normal()
	if err != nil {
		return "", err
	}
	for _, address := range []string{o.Source, o.TestSource} {
		if strings.HasPrefix(address, gsScheme) || strings.HasPrefix(address, hubScheme) {
			return "", nil
		}
	}
	if o.generates() {
		return "", nil
	}
	src, err := resolve(ctx, o, func(Progress) {})
	if err != nil {
		return "", ctx.Err()
	}
	return o.identity(src), nil // there is no temporary copy to remove, because o has no Stdin
}

// obtain does the work of Ensure for a known hash. make fills a new folder with the
// dataset; if it is nil, a dataset that is nowhere is an error.
func obtain(
	ctx context.Context, bucket blob.Bucket, hash, cacheDir string, progress func(Progress), make func(dir string) error,
) (string, error) {
	if !isHash(hash) {
		return "", fmt.Errorf("dataset %q: %w: that is no hash", hash, blob.ErrNotExist)
	}
	base := filepath.Join(cacheDir, "datasets")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", diskError(err)
	}
	unlock, err := lock(ctx, filepath.Join(base, hash+".lock"))
	if err != nil {
		return "", fmt.Errorf("lock dataset %.12s in %s: %w", hash, base, err)
	}
	defer unlock()
	dir := filepath.Join(base, hash)
	remote := layout.Dataset(bucket, hash)
	m, err := readManifest(dir, hash)
	if err == nil {
		err = m.verify(ctx, dir)
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		if err := os.RemoveAll(dir); err != nil {
			return "", fmt.Errorf("remove damaged dataset: %w", err)
		}
		err := fetch(ctx, remote, hash, dir, progress)
		absent := errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrCorrupt)
		switch {
		case err == nil:
		case make != nil && absent:
			if err := make(dir); err != nil {
				return "", err
			}
			if err := writeManifest(ctx, dir, hash); err != nil {
				return "", fmt.Errorf("finish dataset %.12s: %w", hash, err)
			}
		default:
			return "", fmt.Errorf("fetch dataset %.12s: %w", hash, err)
		}
	}
	if make != nil {
		if err := store(ctx, remote, hash, dir); err != nil {
			return "", fmt.Errorf("store dataset %.12s: %w", hash, err)
		}
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Join(dir, manifestFile), now, now) // evict compares these times
	evict(base, hash)
	return dir, nil
}

// Fetch returns the local folder of a dataset that the bucket holds; it needs the hash
// but not the source. It takes the verified folder in cacheDir or a copy from the
// bucket's datasets/<hash>/, and returns blob.ErrNotExist if neither exists.
func Fetch(ctx context.Context, bucket blob.Bucket, hash, cacheDir string) (dir string, err error) {
	return obtain(ctx, bucket, hash, cacheDir, func(Progress) {}, nil)
}

func writeManifest(ctx context.Context, dir, hash string) error {
	m, err := makeManifest(ctx, dir, hash)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return copyAtomic(filepath.Join(dir, manifestFile), bytes.NewReader(append(b, '\n')))
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
		if !fs.ValidPath(f.Name) || !isHash(f.SHA256) {
			return m, fmt.Errorf("%s: %w: file %q with SHA-256 %q", manifestFile, blob.ErrCorrupt, f.Name, f.SHA256)
		}
	}
	return m, nil
}

func makeManifest(ctx context.Context, dir, hash string) (manifest, error) {
	m := manifest{FormatVersion: formatVersion, Hash: hash}
	err := walkFiles(dir, func(path, name string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		sum, err := hashFile(ctx, path)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, fileInfo{name, info.Size(), sum})
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

// object returns the key of a file. The key contains the hash of the contents, so that
// two builders whose provenance differs cannot mix their files.
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
	tmp, release, err := newPart(dir)
	if err != nil {
		return err
	}
	defer release()
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
	return os.Rename(tmp, dir)
}

// store uploads the files that the bucket lacks, and the manifest last.
func store(ctx context.Context, remote blob.Bucket, hash, dir string) error {
	old, _, err := blob.ReadAll(ctx, remote, manifestFile, 0)
	ifGen := blob.Absent
	switch {
	case err == nil:
		if _, err := parseManifest(old, hash); err == nil {
			return nil
		}
		ifGen = blob.Any // replaces a damaged manifest
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
		return nil // another builder stored the dataset first
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

// lock waits for the lock of a file. The system releases the lock if the process dies.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f := flock.New(path, flock.SetPermissions(0o644))
	if _, err := f.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// HashDir identifies the contents of a dataset folder by a hex SHA-256 over the names and contents of its files except provenance.json.
func HashDir(dir string) (string, error) {
	m, err := makeManifest(context.Background(), dir, "")
	if err != nil {
		return "", inputf("read dataset: %v", err)
	}
	return m.contents(), nil
}

// contents computes HashDir from the files that the manifest lists.
func (m manifest) contents() string {
	h := sha256.New()
	for _, f := range m.Files {
		if f.Name != provenanceFile && f.Name != manifestFile {
			fmt.Fprintf(h, "%s %s\n", f.SHA256, f.Name)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Same says whether two hashes identify the same dataset. A dataset of the bucket has two
// hashes: that of its source and options (see Options.Hash) and that of its contents (see HashDir).
func Same(ctx context.Context, bucket blob.Bucket, a, b string) (bool, error) {
	if a == b {
		return true, nil
	}
	var contents [2]string
	for i, name := range []string{a, b} {
		m, err := remoteManifest(ctx, bucket, name)
		switch {
		case err == nil:
			contents[i] = m.contents()
		case errors.Is(err, blob.ErrNotExist), errors.Is(err, blob.ErrCorrupt):
			contents[i] = name
		default:
			return false, fmt.Errorf("look at dataset %.12s: %w", name, err)
		}
	}
	return contents[0] == contents[1], nil
}

func remoteManifest(ctx context.Context, bucket blob.Bucket, hash string) (manifest, error) {
	if !isHash(hash) {
		return manifest{}, blob.ErrNotExist
	}
	b, _, err := blob.ReadAll(ctx, bucket, layout.DatasetKey(hash, manifestFile), 0)
	if err != nil {
		return manifest{}, err
	}
	return parseManifest(b, hash)
}

var hashText = regexp.MustCompile(`^[0-9a-f]{64}$`)

// isHash says whether s is a hash. Hashes come from stores and from input and become names of folders and objects.
func isHash(s string) bool { return hashText.MatchString(s) }
