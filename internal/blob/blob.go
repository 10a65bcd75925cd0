// Package blob defines the contract of object storage for the rest of the program
// (Bucket), and a few helpers that work with any implementation. The
// implementations are the packages disk, gcs and mem below it; package blobtest has
// the tests that each of them must pass.
package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

var (
	// ErrNotExist says that there is no such object or no such generation of it.
	ErrNotExist = errors.New("object does not exist")
	// ErrPrecondition says that the object is not at the generation that the caller named.
	// After a lost response the cause may be the caller's own write: read the object to find out.
	ErrPrecondition = errors.New("object generation does not match")
	// ErrTransient marks errors for which a retry may help: timeouts, 429, 5xx, cut connections, a full disk.
	ErrTransient = errors.New("storage temporarily unavailable")
	// ErrFull is the ErrTransient of a store without free space. A retry helps after somebody has freed some.
	ErrFull = fmt.Errorf("%w: no room", ErrTransient)
	// ErrDenied says that this user or this host lacks a permission. A retry does not help.
	ErrDenied = errors.New("not permitted")
	// ErrCorrupt says that the bytes read are not those stored: size or CRC32C differ.
	ErrCorrupt = errors.New("object is corrupt")
)

// Attr describes one stored object.
type Attr struct {
	Key        string
	Size       int64     // in bytes
	Generation int64     // > 0; every successful Put gives the object a new one
	CRC32C     uint32    // of the whole object, with the Castagnoli polynomial
	Updated    time.Time // by the clock of the storage
}

type failWhenFull struct{}

// FailWhenFull marks operations of a caller that can free space itself: they fail with
// ErrFull at once instead of waiting until somebody else frees some.
func FailWhenFull(ctx context.Context) context.Context {
	return context.WithValue(ctx, failWhenFull{}, true)
}

// FailsWhenFull says whether ctx comes from FailWhenFull.
func FailsWhenFull(ctx context.Context) bool { return ctx.Value(failWhenFull{}) != nil }

// Special values of Put's parameter ifGen.
const (
	// Any writes unconditionally.
	Any int64 = -1
	// Absent writes only if the object does not exist.
	Absent int64 = 0
)

// Bucket is a flat set of objects under slash-separated keys. All methods are safe for
// concurrent use. Every call ends early when ctx ends, and returns an error that wraps
// one of the sentinels above if one of them applies. A Put is atomic: readers see the old
// object or the whole new one, never a part.
type Bucket interface {
	// Put stores size bytes of body if the object is at generation ifGen (or Any, or Absent).
	// The implementation may read body more than once.
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, ifGen int64) (Attr, error)
	// Get opens an object; generation 0 is the newest. The reader fails with
	// ErrCorrupt at the end if the bytes do not match the stored CRC32C.
	Get(ctx context.Context, key string, generation int64) (io.ReadCloser, Attr, error)
	// Stat returns the attributes of the newest generation.
	Stat(ctx context.Context, key string) (Attr, error)
	// List yields the objects whose key starts with prefix, in key order.
	List(ctx context.Context, prefix string) iter.Seq2[Attr, error]
	// Delete removes the object if it is at the generation (Any: unconditionally). It returns ErrNotExist if there is no object.
	Delete(ctx context.Context, key string, generation int64) error
}

// PutBytes stores data; see Bucket.Put.
func PutBytes(ctx context.Context, b Bucket, key string, data []byte, ifGen int64) (Attr, error) {
	return b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), ifGen)
}

// ReadAll reads a whole object and checks its CRC32C. Generation 0 is the newest.
func ReadAll(ctx context.Context, b Bucket, key string, generation int64) ([]byte, Attr, error) {
	r, attr, err := b.Get(ctx, key, generation)
	if err != nil {
		return nil, Attr{}, err
	}
	data, err := readAll(r, attr.Size)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, Attr{}, fmt.Errorf("read object %s: %w", key, err)
	}
	return data, attr, nil
}

// readAll reads r into memory of the announced size. Growing a buffer as io.ReadAll does
// costs more than everything else that is done with a large object.
func readAll(r io.Reader, size int64) ([]byte, error) {
	const trusted = 1 << 30 // a damaged answer must not make the process allocate all memory
	data := make([]byte, 0, min(max(size, 0), trusted)+1)
	for {
		n, err := r.Read(data[len(data):min(len(data)+readChunk, cap(data))])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return data, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// readChunk is so small that a chunk is still in the processor's cache when it is hashed.
const readChunk = 1 << 20
