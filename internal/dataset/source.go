package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"trmsweep/internal/blob"
)

// resolved is a source as local files with known contents.
type resolved struct {
	train, test             string // empty: not given
	trainSHA256, testSHA256 string
	revision                string
}

// resolve brings the source's files to this machine.
func resolve(ctx context.Context, o Options, progress func(Progress)) (resolved, error) {
	var r resolved
	var err error
	switch {
	case o.generates():
		return r, nil
	case strings.HasPrefix(o.Source, "gs://"):
		r.train, err = fetchObject(ctx, o, o.Source, progress)
	case strings.HasPrefix(o.Source, "hf:"):
		r, err = fetchHub(ctx, o, progress)
	default:
		r.train, r.test, err = localFiles(o)
	}
	switch {
	case err != nil:
	case strings.HasPrefix(o.TestSource, "gs://"):
		r.test, err = fetchObject(ctx, o, o.TestSource, progress)
	case o.TestSource != "":
		if r.test = o.TestSource; !exists(r.test) {
			err = optionsf("read test source: there is no file %s", r.test)
		}
	}
	if err != nil {
		return r, err
	}
	if r.trainSHA256, err = hashFile(ctx, r.train); err != nil {
		return r, inputf("read source: %v", err)
	}
	if r.test != "" {
		if r.testSHA256, err = hashFile(ctx, r.test); err != nil {
			return r, inputf("read test source: %v", err)
		}
	}
	return r, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func (o Options) downloads() (string, error) {
	if o.CacheDir != "" {
		return filepath.Join(o.CacheDir, "sources"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for downloads: %w", err)
	}
	return filepath.Join(dir, "trmsweep", "sources"), nil
}

// object opens the bucket of a gs:// address and says which object is there now.
func (o Options) object(ctx context.Context, address string) (blob.Bucket, blob.Attr, error) {
	i := strings.LastIndexByte(address, '/')
	if i < len("gs://x") || i == len(address)-1 {
		return nil, blob.Attr{}, optionsf("source %s names no object, want gs://bucket/path/file.csv", address)
	}
	if o.Opener == nil {
		return nil, blob.Attr{}, inputf("source %s: object storage cannot be opened here", address)
	}
	b, err := o.Opener(ctx, address[:i])
	if err != nil {
		return nil, blob.Attr{}, fmt.Errorf("open %s: %w", address[:i], err)
	}
	attr, err := b.Stat(ctx, address[i+1:])
	if errors.Is(err, blob.ErrNotExist) {
		return nil, attr, inputf("read source %s: there is no such object", address)
	}
	if err != nil {
		return nil, attr, fmt.Errorf("read source %s: %w", address, err)
	}
	return b, attr, nil
}

// fetchObject copies a gs:// object into the cache, once per generation. What is
// there is checked against the object's checksum, and fetched again if it differs.
func fetchObject(ctx context.Context, o Options, address string, progress func(Progress)) (string, error) {
	b, attr, err := o.object(ctx, address)
	if err != nil {
		return "", err
	}
	dir, err := o.downloads()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "objects")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", diskError(err)
	}
	sum := sha256.Sum256([]byte(address))
	name := fmt.Sprintf("%s-%d-%s", hex.EncodeToString(sum[:6]), attr.Generation, path.Base(address))
	unlock, err := lock(ctx, filepath.Join(dir, "."+name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	local := filepath.Join(dir, name)
	if intact(ctx, local, attr) {
		now := time.Now()
		_ = os.Chtimes(local, now, now) // for evictFiles only
		return local, nil
	}
	body, attr, err := b.Get(ctx, attr.Key, attr.Generation)
	if err != nil {
		return "", fmt.Errorf("read source %s: %w", address, err)
	}
	defer body.Close()
	done := int64(0)
	err = copyAtomic(local, readerFunc(func(p []byte) (int, error) {
		n, err := body.Read(p)
		done += int64(n)
		progress(Progress{Stage: "download", Done: done, Total: attr.Size})
		return n, err
	}))
	if err != nil {
		return "", fmt.Errorf("read source %s: %w", address, err)
	}
	evictFiles(dir, name)
	return local, nil
}

// intact says whether a file has an object's contents.
func intact(ctx context.Context, local string, attr blob.Attr) bool {
	f, err := os.Open(local)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, blob.VerifyReader(readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f.Read(p)
	}), attr))
	return err == nil
}

// copyAtomic writes r beside dest and renames it, or leaves nothing.
func copyAtomic(dest string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(dest), ".part-*")
	if err != nil {
		return diskError(err)
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), dest)
	}
	return diskError(err)
}

// identity is everything that decides the bytes of the dataset.
func (o Options) identity(r resolved) string {
	id := map[string]any{
		"format": formatVersion, "num_aug": o.NumAug, "min_rating": o.MinRating, "seed": o.Seed,
		"compact": o.Compact, "subsample": o.Subsample, "count": o.Count, "test_count": o.TestCount,
		"skip_bad": o.SkipBad, "verify_unique": o.VerifyUnique,
		"train_sha256": r.trainSHA256, "test_sha256": r.testSHA256, "generate": o.generates(),
	}
	if o.Profile != "" {
		id["profile"], id["minimal"] = o.Profile, o.Minimal
	}
	if o.Profile != "" || o.generates() && o.MinRating > 30 {
		id["search"] = 2 // for hard puzzles the generator has become more patient
	}
	b, err := json.Marshal(id)
	if err != nil {
		panic(err) // a map of scalars
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Hash names what Build would make: a hex SHA-256 over the source's bytes (or the
// generator's parameters), the options that matter and the format's version.
func (o Options) Hash(ctx context.Context) (string, error) {
	o, err := o.normal()
	if err != nil {
		return "", err
	}
	r, err := resolve(ctx, o, func(Progress) {})
	if err != nil {
		return "", err
	}
	return o.identity(r), nil
}
