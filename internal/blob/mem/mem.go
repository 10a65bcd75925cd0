// Package mem is a bucket in memory, for tests and short trials. It stores only the newest
// generation of an object.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"trmsweep/internal/blob"
)

// Bucket is a bucket in memory.
type Bucket struct {
	mu      sync.Mutex
	now     func() time.Time
	gen     int64
	objects map[string]object
}

type object struct {
	attr blob.Attr
	data []byte
}

var _ blob.Bucket = (*Bucket)(nil)

// New makes an empty bucket with the clock now (nil: time.Now).
func New(now func() time.Time) *Bucket {
	if now == nil {
		now = time.Now
	}
	return &Bucket{now: now, objects: map[string]object{}}
}

// Put stores a copy of body.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (blob.Attr, error) {
	if err := ctx.Err(); err != nil {
		return blob.Attr{}, fmt.Errorf("put %s: %w", key, err)
	}
	if err := blob.CheckKey(key); err != nil {
		return blob.Attr{}, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(body, 0, size), data); err != nil {
		return blob.Attr{}, fmt.Errorf("put %s: read source: %w", key, err)
	}
	crc, err := blob.CRC32C(bytes.NewReader(data), size)
	if err != nil {
		return blob.Attr{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.objects[key].attr.Generation; ifGen != blob.Any && ifGen != have {
		return blob.Attr{}, fmt.Errorf("put %s at generation %d, it is at %d: %w", key, ifGen, have, blob.ErrPrecondition)
	}
	b.gen++
	a := blob.Attr{Key: key, Size: size, Generation: b.gen, CRC32C: crc, Updated: b.now()}
	b.objects[key] = object{a, data}
	return a, nil
}

// Get reads the object as it is at the time of the call.
func (b *Bucket) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	if err := ctx.Err(); err != nil {
		return nil, blob.Attr{}, fmt.Errorf("get %s: %w", key, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	wrongGeneration := ok && generation != 0 && generation != o.attr.Generation
	if !ok || wrongGeneration {
		return nil, blob.Attr{}, fmt.Errorf("get %s (generation %d): %w", key, generation, blob.ErrNotExist)
	}
	return io.NopCloser(blob.VerifyReader(bytes.NewReader(o.data), o.attr)), o.attr, nil
}

// Stat returns the object's attributes.
func (b *Bucket) Stat(ctx context.Context, key string) (blob.Attr, error) {
	if err := ctx.Err(); err != nil {
		return blob.Attr{}, fmt.Errorf("stat %s: %w", key, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return blob.Attr{}, fmt.Errorf("stat %s: %w", key, blob.ErrNotExist)
	}
	return o.attr, nil
}

// List yields the objects that exist when it starts.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	return func(yield func(blob.Attr, error) bool) {
		b.mu.Lock()
		var all []blob.Attr
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if strings.HasPrefix(key, prefix) {
				all = append(all, b.objects[key].attr)
			}
		}
		b.mu.Unlock()
		for _, a := range all {
			if err := ctx.Err(); err != nil {
				yield(blob.Attr{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// Delete removes the object.
func (b *Bucket) Delete(ctx context.Context, key string, generation int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return fmt.Errorf("delete %s: %w", key, blob.ErrNotExist)
	}
	if generation != blob.Any && generation != o.attr.Generation {
		return fmt.Errorf("delete %s at generation %d, it is at %d: %w", key, generation, o.attr.Generation, blob.ErrPrecondition)
	}
	delete(b.objects, key)
	return nil
}

// Tamper changes the stored bytes but not their checksum, as a broken disk would.
func (b *Bucket) Tamper(key string, change func(data []byte) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o, ok := b.objects[key]; ok {
		o.data = change(bytes.Clone(o.data))
		b.objects[key] = o
	}
}
