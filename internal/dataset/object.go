package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

const gsScheme = "gs://"

// sources holds the buckets of gs:// addresses that one call opened, each once.
type sources struct {
	open    Opener
	buckets map[string]blob.Bucket
	closers []io.Closer
}

// begin validates the options of a call from outside of this package. The returned
// function closes the buckets that the call opened; nested calls share them and close nothing.
func (o Options) begin() (Options, func(), error) {
	end := func() {}
	if o.sources == nil {
		o.sources = &sources{open: o.Opener, buckets: map[string]blob.Bucket{}}
		end = o.sources.close
	}
	o, err := o.normal()
	return o, end, err
}

func (s *sources) bucket(ctx context.Context, address string) (blob.Bucket, error) {
	if b := s.buckets[address]; b != nil {
		return b, nil
	}
	b, closer, err := s.open(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", address, err)
	}
	s.buckets[address] = b
	s.closers = append(s.closers, closer)
	return b, nil
}

func (s *sources) close() {
	for _, c := range s.closers {
		_ = c.Close() // nothing was written to them
	}
}

// object returns the bucket and the attributes of the object at a gs:// address; blob.ErrNotExist if there is none.
func (o Options) object(ctx context.Context, address string) (blob.Bucket, blob.Attr, error) {
	i := strings.LastIndexByte(address, '/')
	if i <= len(gsScheme) || i == len(address)-1 {
		return nil, blob.Attr{}, fmt.Errorf("read source %s: %w", address, blob.ErrNotExist)
	}
	if o.Opener == nil {
		return nil, blob.Attr{}, inputf("source %s: object storage cannot be opened here", address)
	}
	b, err := o.sources.bucket(ctx, address[:i])
	if err != nil {
		return nil, blob.Attr{}, err
	}
	attr, err := b.Stat(ctx, address[i+1:])
	if err != nil {
		return nil, attr, fmt.Errorf("read source %s: %w", address, err)
	}
	return b, attr, nil
}

// objects replaces a source that is a gs:// folder by its files train.csv and test.csv.
func (o Options) objects(ctx context.Context) (Options, error) {
	_, _, err := o.object(ctx, o.Source)
	if err == nil || !errors.Is(err, blob.ErrNotExist) {
		return o, err
	}
	folder := strings.TrimRight(o.Source, "/")
	find := func(split string) (string, error) {
		for _, ext := range csvExtensions {
			address := folder + "/" + split + ext
			_, _, err := o.object(ctx, address)
			if err == nil || !errors.Is(err, blob.ErrNotExist) {
				return address, err
			}
		}
		return "", inputf("read source %s: there is no such object, and no %s.csv (or .csv.gz, .csv.zst) below it", folder, split)
	}
	test := o.TestSource
	if o.Source, err = find("train"); err == nil && test == "" {
		o.TestSource, err = find("test")
	}
	return o, err
}

// fetchObject copies a gs:// object into the cache, once per generation. A copy that
// exists is checked against the object's checksum and replaced if it differs.
func fetchObject(ctx context.Context, o Options, address string, progress func(Progress)) (string, error) {
	b, attr, err := o.object(ctx, address)
	if errors.Is(err, blob.ErrNotExist) {
		return "", inputf("read source %s: there is no such object", address)
	}
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
		_ = os.Chtimes(local, now, now) // evictFiles compares these times
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

// intact says whether a file has the contents of an object.
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
