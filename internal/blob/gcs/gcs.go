// Package gcs is a bucket in Google Cloud Storage, or in the emulator that
// STORAGE_EMULATOR_HOST names. It attempts every operation once, under a deadline, and
// returns blob.ErrTransient if a retry may help. Package patient does the retries.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"trmsweep/internal/blob"
)

// DefaultStall is the time without a transferred byte after which an operation is cancelled.
const DefaultStall = 30 * time.Second

// oneShot is the size in bytes of the largest object that is sent in a single request,
// without a buffer in the client. Larger objects are sent in chunks of chunkSize.
const (
	oneShot   = 1 << 30
	chunkSize = 64 << 20
)

// Bucket is a bucket in Google Cloud Storage. It must be closed after use.
type Bucket struct {
	client *storage.Client
	h      *storage.BucketHandle
	name   string
	stall  time.Duration
}

var _ blob.Bucket = (*Bucket)(nil)

// Open connects to the bucket and checks that it can be listed. On the emulator, it
// creates a missing bucket. A stall of 0 means DefaultStall.
func Open(ctx context.Context, name string, stall time.Duration) (*Bucket, error) {
	if stall <= 0 {
		stall = DefaultStall
	}
	client, err := storage.NewClient(ctx, storage.WithJSONReads())
	if err != nil {
		return nil, fmt.Errorf("open gs://%s: no usable Google credentials: run `gcloud auth application-default login`, "+
			"use a machine with a service account, or set STORAGE_EMULATOR_HOST: %w", name, err)
	}
	client.SetRetry(storage.WithPolicy(storage.RetryNever))
	b := &Bucket{client: client, h: client.Bucket(name), name: name, stall: stall}
	if err := b.probe(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return b, nil
}

func emulator() string { return os.Getenv("STORAGE_EMULATOR_HOST") }

func (b *Bucket) probe(ctx context.Context) error {
	cctx, cancel := context.WithTimeout(ctx, b.stall)
	defer cancel()
	it := b.h.Objects(cctx, &storage.Query{Delimiter: "/"})
	it.PageInfo().MaxSize = 1
	_, err := it.Next()
	if err == nil || errors.Is(err, iterator.Done) {
		return nil
	}
	if emulator() != "" && notFound(err) {
		if err := b.h.Create(cctx, "trmsweep", nil); err != nil && code(err) != 409 {
			return b.explain(ctx, "create bucket", "", err)
		}
		return nil
	}
	return b.explain(ctx, "open", "", err)
}

// Close releases the connections.
func (b *Bucket) Close() error { return b.client.Close() }

// Put sends the object with its CRC32C, which the server checks, and compares the
// attributes that the server returns. A failed request is cancelled and never closed,
// because closing would commit a part of the object.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Attr{}, err
	}
	crc, err := blob.CRC32C(body, size)
	if err != nil {
		return blob.Attr{}, fmt.Errorf("put %s: %w", b.url(key), err)
	}
	for try := 0; ; try++ {
		a, err := b.put(ctx, key, body, size, ifGen, crc)
		intact := a.Key == key && a.Size == size && a.CRC32C == crc
		if err != nil || intact {
			return a, err
		}
		if try == 3 {
			return blob.Attr{}, fmt.Errorf("put %s: %d bytes with CRC32C %08x arrived where %d with %08x were sent: %w",
				b.url(key), a.Size, a.CRC32C, size, crc, blob.ErrTransient)
		}
		ifGen = a.Generation // replaces the damaged object that this call wrote
	}
}

func (b *Bucket) put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64, crc uint32) (blob.Attr, error) {
	dog := newWatchdog(ctx, b.stall)
	defer dog.stop()
	o := b.h.Object(key)
	switch {
	case ifGen == blob.Absent:
		o = o.If(storage.Conditions{DoesNotExist: true})
	case ifGen != blob.Any:
		o = o.If(storage.Conditions{GenerationMatch: ifGen})
	}
	w := o.NewWriter(dog.ctx)
	w.CRC32C, w.SendCRC32C = crc, true
	w.ContentType = "application/octet-stream"
	w.ChunkSize = 0
	if size > oneShot {
		w.ChunkSize = chunkSize
	}
	n, err := io.Copy(w, &fed{dog, io.NewSectionReader(body, 0, size)})
	if err == nil && n != size {
		err = fmt.Errorf("read source: %d bytes where %d were announced", n, size)
	}
	if err != nil {
		dog.stop()
		return blob.Attr{}, b.explain(ctx, "put", key, err)
	}
	if err := w.Close(); err != nil {
		return blob.Attr{}, b.explain(ctx, "put", key, err)
	}
	return attrOf(w.Attrs()), nil
}

// Get streams the object; every read has its own deadline. If the newest generation is
// replaced between stat and read, Get tries the new one: it never reports an existing
// object as missing.
func (b *Bucket) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, blob.Attr{}, err
	}
	for seen := int64(0); ; {
		r, a, err := b.open(ctx, key, generation)
		if generation != 0 || !errors.Is(err, blob.ErrNotExist) || a.Generation == seen {
			return r, a, err
		}
		seen = a.Generation // 0 if there is no object
	}
}

// open opens one generation. If that was deleted after stat, the Attr still says which one it was.
func (b *Bucket) open(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	// Not every server sends all attributes with the content; stat gets them, and then that generation is read.
	a, err := b.stat(ctx, key, generation)
	if err != nil {
		return nil, blob.Attr{}, err
	}
	dog := newWatchdog(ctx, b.stall)
	r, err := b.h.Object(key).Generation(a.Generation).NewReader(dog.ctx)
	if err != nil {
		dog.stop()
		return nil, a, b.explain(ctx, "get", key, err)
	}
	rc := &reader{b: b, ctx: ctx, key: key, dog: dog, raw: r}
	rc.checked = blob.VerifyReader(readerFunc(rc.read), a)
	return rc, a, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type reader struct {
	b       *Bucket
	ctx     context.Context
	key     string
	dog     *watchdog
	raw     *storage.Reader
	checked io.Reader
}

func (r *reader) Read(p []byte) (int, error) { return r.checked.Read(p) }

func (r *reader) read(p []byte) (int, error) {
	r.dog.feed()
	n, err := r.raw.Read(p)
	if err != nil && err != io.EOF {
		err = r.b.explain(r.ctx, "get", r.key, err)
	}
	return n, err
}

func (r *reader) Close() error {
	r.dog.stop()
	r.raw.Close()
	return nil
}

// Stat returns the attributes of the newest generation.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Attr, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Attr{}, err
	}
	return b.stat(ctx, key, 0)
}

func (b *Bucket) stat(ctx context.Context, key string, generation int64) (blob.Attr, error) {
	cctx, cancel := context.WithTimeout(ctx, b.stall)
	defer cancel()
	o := b.h.Object(key)
	if generation != 0 {
		o = o.Generation(generation)
	}
	attrs, err := o.Attrs(cctx)
	if err != nil {
		return blob.Attr{}, b.explain(ctx, "stat", key, err)
	}
	return attrOf(attrs), nil
}

// List requests page by page, each under its own deadline.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	return func(yield func(blob.Attr, error) bool) {
		dog := newWatchdog(ctx, b.stall)
		defer dog.stop()
		it := b.h.Objects(dog.ctx, &storage.Query{Prefix: prefix})
		for {
			dog.feed()
			attrs, err := it.Next()
			if errors.Is(err, iterator.Done) {
				return
			}
			if err != nil {
				yield(blob.Attr{}, b.explain(ctx, "list", prefix, err))
				return
			}
			dog.rest()
			if !yield(attrOf(attrs), nil) {
				return
			}
		}
	}
}

// Delete removes the object.
func (b *Bucket) Delete(ctx context.Context, key string, generation int64) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	cctx, cancel := context.WithTimeout(ctx, b.stall)
	defer cancel()
	o := b.h.Object(key)
	if generation != blob.Any {
		// The emulator ignores the precondition of a deletion; therefore the generation is compared first.
		now, err := b.stat(ctx, key, 0)
		if err != nil {
			return err
		}
		if now.Generation != generation {
			return fmt.Errorf("delete %s at generation %d, it is at %d: %w", b.url(key), generation, now.Generation, blob.ErrPrecondition)
		}
		o = o.If(storage.Conditions{GenerationMatch: generation})
	}
	if err := o.Delete(cctx); err != nil {
		return b.explain(ctx, "delete", key, err)
	}
	return nil
}

func attrOf(a *storage.ObjectAttrs) blob.Attr {
	return blob.Attr{Key: a.Name, Size: a.Size, Generation: a.Generation, CRC32C: a.CRC32C, Updated: a.Updated}
}

func (b *Bucket) url(key string) string { return "gs://" + b.name + "/" + key }
