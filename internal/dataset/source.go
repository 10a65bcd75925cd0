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
	"time"

	"github.com/gomlx/go-huggingface/hub"
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
		if r.train, err = fetchObject(ctx, o, o.Source, progress); err == nil && o.TestSource != "" {
			r.test, err = fetchObject(ctx, o, o.TestSource, progress)
		}
	case strings.HasPrefix(o.Source, "hf:"):
		r, err = fetchHub(ctx, o, progress)
	default:
		r.train, r.test, err = localFiles(o)
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

// fetchObject copies a gs:// object into the cache, once per generation.
func fetchObject(ctx context.Context, o Options, address string, progress func(Progress)) (string, error) {
	i := strings.LastIndexByte(address, '/')
	if i < len("gs://x") {
		return "", optionsf("source %s names no object, want gs://bucket/path/file.csv", address)
	}
	if o.Opener == nil {
		return "", inputf("source %s: object storage cannot be opened here", address)
	}
	b, err := o.Opener(ctx, address[:i])
	if err != nil {
		return "", fmt.Errorf("open %s: %w", address[:i], err)
	}
	key := address[i+1:]
	body, attr, err := b.Get(ctx, key, 0)
	if err != nil {
		return "", fmt.Errorf("read source %s: %w", address, err)
	}
	defer body.Close()
	dir, err := o.downloads()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(address))
	path := filepath.Join(dir, fmt.Sprintf("%s-%d-%08x-%s", hex.EncodeToString(sum[:6]), attr.Generation, attr.CRC32C, key))
	if st, err := os.Stat(path); err == nil && st.Size() == attr.Size {
		return path, nil
	}
	progress(Progress{Stage: "download", Total: attr.Size})
	return path, copyAtomic(path, body)
}

// copyAtomic writes r beside path and renames it, or leaves nothing.
func copyAtomic(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return diskError(err)
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return diskError(err)
}

// hubTimeout bounds how long the Hub may take to answer the first question.
const hubTimeout = 20 * time.Second

// fetchHub downloads train.csv and test.csv of a Hub dataset; the client checks and resumes.
func fetchHub(ctx context.Context, o Options, progress func(Progress)) (resolved, error) {
	name, revision, _ := strings.Cut(strings.TrimPrefix(o.Source, "hf:"), "@")
	if strings.Count(name, "/") != 1 {
		return resolved{}, optionsf("source %s: want hf:owner/name or hf:owner/name@revision", o.Source)
	}
	dir, err := o.downloads()
	if err != nil {
		return resolved{}, err
	}
	repo := hub.New(name).WithType(hub.RepoTypeDataset).WithProgressBar(false).WithCacheDir(filepath.Join(dir, "hub")).WithAuth(os.Getenv("HF_TOKEN"))
	if revision != "" {
		repo = repo.WithRevision(revision)
	}
	help := fmt.Sprintf("download of %s from the Hugging Face Hub", name)
	hint := fmt.Sprintf("without network, get train.csv and test.csv of https://huggingface.co/datasets/%s on another machine and give their folder as the source, or use source %q", name, SourceGenerate)
	if err := within(ctx, hubTimeout, func() error { return repo.DownloadInfo(false) }); err != nil {
		return resolved{}, fmt.Errorf("%s: %w; %s", help, err, hint)
	}
	if info := repo.Info(); info != nil && info.CommitHash != "" {
		revision = info.CommitHash
		repo = repo.WithRevision(revision)
	}
	progress(Progress{Stage: "download"})
	var paths []string
	if err := within(ctx, 0, func() (err error) {
		paths, err = repo.DownloadFiles("train.csv", "test.csv")
		return err
	}); err != nil {
		return resolved{}, fmt.Errorf("%s: %w; %s", help, err, hint)
	}
	return resolved{train: paths[0], test: paths[1], revision: revision}, nil
}

// within gives up waiting for f (which takes no context) at the deadline or when ctx ends.
func within(ctx context.Context, d time.Duration, f func() error) error {
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// identity is everything that decides the bytes of the dataset.
func (o Options) identity(r resolved) string {
	id := map[string]any{
		"format": formatVersion, "num_aug": o.NumAug, "min_rating": o.MinRating, "seed": o.Seed,
		"compact": o.Compact, "subsample": o.Subsample, "count": o.Count, "test_count": o.TestCount,
		"skip_bad": o.SkipBad, "verify_unique": o.VerifyUnique,
		"train_sha256": r.trainSHA256, "test_sha256": r.testSHA256, "generate": o.generates(),
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
