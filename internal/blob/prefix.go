package blob

import (
	"context"
	"io"
	"iter"
	"strings"
)

// Prefix returns the part of b whose keys start with prefix; its keys are those of b without the prefix.
func Prefix(b Bucket, prefix string) Bucket {
	if prefix == "" {
		return b
	}
	return prefixed{b, prefix}
}

type prefixed struct {
	b      Bucket
	prefix string
}

func (p prefixed) strip(a Attr) Attr {
	a.Key = strings.TrimPrefix(a.Key, p.prefix)
	return a
}

func (p prefixed) Put(ctx context.Context, key string, body io.ReaderAt, size, ifGen int64) (Attr, error) {
	a, err := p.b.Put(ctx, p.prefix+key, body, size, ifGen)
	return p.strip(a), err
}

func (p prefixed) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, Attr, error) {
	r, a, err := p.b.Get(ctx, p.prefix+key, generation)
	return r, p.strip(a), err
}

func (p prefixed) Stat(ctx context.Context, key string) (Attr, error) {
	a, err := p.b.Stat(ctx, p.prefix+key)
	return p.strip(a), err
}

func (p prefixed) List(ctx context.Context, prefix string) iter.Seq2[Attr, error] {
	return func(yield func(Attr, error) bool) {
		for a, err := range p.b.List(ctx, p.prefix+prefix) {
			if !yield(p.strip(a), err) {
				return
			}
		}
	}
}

func (p prefixed) Delete(ctx context.Context, key string, generation int64) error {
	return p.b.Delete(ctx, p.prefix+key, generation)
}
