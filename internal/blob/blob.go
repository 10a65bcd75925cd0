// Package blob is the contract that object storage must keep for the rest of
// the program, and the few helpers written against it. Implementations live in
// the packages below it (disk, gcs, mem); blobtest is the suite that every one
// of them passes.
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
	// ErrNotExist: there is no such object (or no such generation of it).
	ErrNotExist = errors.New("object does not exist")
	// ErrPrecondition: the object is not at the generation that the caller named.
	// After a lost response it may be the caller's own write: read again.
	ErrPrecondition = errors.New("object generation does not match")
	// ErrTransient marks errors that may pass by themselves: timeouts, 429, 5xx, cut connections, a full disk.
	ErrTransient = errors.New("storage temporarily unavailable")
	// ErrFull is the ErrTransient of a store without room: somebody may make some.
	ErrFull = fmt.Errorf("%w: no room", ErrTransient)
	// ErrDenied: this user, or this host, may not do that. Waiting does not help.
	ErrDenied = errors.New("not permitted")
	// ErrCorrupt: what came back is not what was stored (size or CRC32C differ).
	ErrCorrupt = errors.New("object is corrupt")
)

// Attr describes one stored object.
type Attr struct {
	Key        string
	Size       int64     // bytes
	Generation int64     // > 0; a new one at every successful Put
	CRC32C     uint32    // Castagnoli, of the whole object
	Updated    time.Time // by the storage's clock
}

type failWhenFull struct{}

// FailWhenFull marks the operations of a caller that can make room itself: they are to fail
// with ErrFull at once, where they would otherwise wait for somebody else to make some.
func FailWhenFull(ctx context.Context) context.Context {
	return context.WithValue(ctx, failWhenFull{}, true)
}

// FailsWhenFull says whether ctx comes from FailWhenFull.
func FailsWhenFull(ctx context.Context) bool { return ctx.Value(failWhenFull{}) != nil }

// Generations with a meaning of their own in Put.
const (
	// Any: write whatever is there now.
	Any int64 = -1
	// Absent: write only if the object does not exist.
	Absent int64 = 0
)

// Bucket is a flat set of objects under slash-separated keys. All methods are
// safe for concurrent use; every call honours ctx and returns an error that
// wraps one of the sentinels above where one applies. A Put is atomic: readers
// see the old object or the whole new one, never a part.
type Bucket interface {
	// Put stores size bytes of body if the object is at generation ifGen (or Any, or Absent).
	// body is read again if the implementation retries.
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, ifGen int64) (Attr, error)
	// Get opens an object; generation 0 is the newest. The reader fails with
	// ErrCorrupt at the end if the bytes do not match the stored CRC32C.
	Get(ctx context.Context, key string, generation int64) (io.ReadCloser, Attr, error)
	// Stat is the newest generation's attributes.
	Stat(ctx context.Context, key string) (Attr, error)
	// List yields the objects whose key starts with prefix, in key order.
	List(ctx context.Context, prefix string) iter.Seq2[Attr, error]
	// Delete removes the object if it is at the generation (Any: whichever). Deleting what is not there is ErrNotExist.
	Delete(ctx context.Context, key string, generation int64) error
}

// PutBytes stores data; see Bucket.Put.
func PutBytes(ctx context.Context, b Bucket, key string, data []byte, ifGen int64) (Attr, error) {
	return b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), ifGen)
}

// ReadAll reads a whole object, checked against its CRC32C.
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

// readAll is io.ReadAll into memory of the announced size: growing by copying
// costs more than everything else that is done with a large object.
func readAll(r io.Reader, size int64) ([]byte, error) {
	const trusted = 1 << 30 // a damaged answer must not ask for all memory
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

// readChunk is small enough for a chunk to be hashed while it is in the cache.
const readChunk = 1 << 20
