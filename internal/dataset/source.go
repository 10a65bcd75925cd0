package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// resolved is a source in the form of local files with known contents.
type resolved struct {
	train, test             string // paths; empty = there is no such file
	trainSHA256, testSHA256 string
	revision                string
	spooled                 []string // temporary files, which remove deletes
}

func (r resolved) remove() {
	for _, file := range r.spooled {
		os.Remove(file)
	}
}

// resolve copies the files of the source to this machine. The caller must call remove on the result.
func resolve(ctx context.Context, o Options, progress func(Progress)) (r resolved, err error) {
	defer func() {
		if err != nil {
			r.remove()
		}
	}()
	switch {
	case o.generates():
		return r, nil
	case strings.HasPrefix(o.Source, gsScheme):
		if o, err = o.objects(ctx); err == nil {
			r.train, err = fetchObject(ctx, o, o.Source, progress)
		}
	case strings.HasPrefix(o.Source, hubScheme):
		r, err = fetchHub(ctx, o, progress)
	case o.Stdin != nil && once(o.Source):
		r.train, err = r.spool(ctx, o, o.Source)
	default:
		r.train, r.test, err = localFiles(o)
	}
	switch {
	case err != nil:
	case strings.HasPrefix(o.TestSource, gsScheme):
		r.test, err = fetchObject(ctx, o, o.TestSource, progress)
	case o.Stdin != nil && once(o.TestSource):
		r.test, err = r.spool(ctx, o, o.TestSource)
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

// spool calls the function spool and registers the copy for remove.
func (r *resolved) spool(ctx context.Context, o Options, path string) (string, error) {
	file, err := spool(ctx, o, path)
	if err == nil {
		r.spooled = append(r.spooled, file)
	}
	return file, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func hashFile(ctx context.Context, path string) (string, error) {
	f, err := openRegular(path)
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

// copyAtomic writes r to a file beside dest and renames it, or leaves nothing. If the
// process dies, the remaining file has a name that evictFiles knows and removes; that is
// the reason not to use github.com/google/renameio.
func copyAtomic(dest string, r io.Reader) error {
	part, err := copyToPart(filepath.Dir(dest), r)
	if err != nil {
		return err
	}
	if err := os.Rename(part, dest); err != nil {
		os.Remove(part)
		return err
	}
	return nil
}

// copyToPart writes r to a new file of dir, or leaves nothing.
func copyToPart(dir string, r io.Reader) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", diskError(err)
	}
	f, err := createPart(dir)
	if err != nil {
		return "", diskError(err)
	}
	_, err = io.Copy(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", diskError(err)
	}
	return f.Name(), nil
}

// identity returns the hash of everything that decides the bytes of the dataset.
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
	generatesHard := o.generates() && o.MinRating > 30
	if o.Profile != "" || generatesHard {
		id["search"] = 2 // version of the generator's search for hard puzzles
	}
	b, err := json.Marshal(id)
	if err != nil {
		panic(err) // a map of scalars can always be encoded
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Hash identifies the dataset that Build would make: a hex SHA-256 over the bytes of the
// source (or the generator's parameters), the relevant options and the format's version.
func (o Options) Hash(ctx context.Context) (string, error) {
	o, end, err := o.begin()
	defer end()
	if err != nil {
		return "", err
	}
	r, err := resolve(ctx, o, func(Progress) {})
	if err != nil {
		return "", err
	}
	defer r.remove()
	return o.identity(r), nil
}
