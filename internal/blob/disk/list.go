package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"trmsweep/internal/blob"
)

// List walks the folders that can contain keys with the prefix. It may or may not yield objects that are written or deleted meanwhile.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[blob.Attr, error] {
	return func(yield func(blob.Attr, error) bool) {
		start := ""
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i]
		}
		var keys []string
		err := filepath.WalkDir(b.path(start), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			rel, err := filepath.Rel(b.dir, path)
			if err != nil {
				return err
			}
			key := filepath.ToSlash(rel)
			if d.IsDir() {
				onPath := key == "." || strings.HasPrefix(key+"/", prefix) || strings.HasPrefix(prefix, key+"/")
				if key == hidden || !onPath {
					return fs.SkipDir
				}
				return nil
			}
			if d.Type().IsRegular() && strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
			return nil
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			yield(blob.Attr{}, b.explain("list", prefix, err))
			return
		}
		slices.Sort(keys)
		for _, key := range keys {
			if err := context.Cause(ctx); err != nil {
				yield(blob.Attr{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			a, _, err := b.current(key)
			if errors.Is(err, blob.ErrNotExist) {
				continue
			}
			if err != nil {
				yield(blob.Attr{}, b.explain("list", key, err))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}
