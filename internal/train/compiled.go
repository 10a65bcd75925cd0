package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
	"trmsweep/internal/pjrt"
)

// compiledStore is where the machines of a study share compiled programs: objects compiled/<key> of the
// store, for all its runs. They may be deleted at any time.
type compiledStore struct{ b blob.Bucket }

var _ pjrt.Store = compiledStore{}

func (s compiledStore) Get(ctx context.Context, name string) ([]byte, error) {
	data, _, err := blob.ReadAll(ctx, s.b, name, 0)
	if errors.Is(err, blob.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return data, err
}

func (s compiledStore) Put(ctx context.Context, name string, data []byte, replace bool) error {
	generation := blob.Absent
	if replace {
		generation = blob.Any
	}
	_, err := blob.PutBytes(ctx, s.b, name, data, generation)
	if errors.Is(err, blob.ErrPrecondition) {
		return nil
	}
	return err
}

func (s compiledStore) Has(ctx context.Context, name string) (bool, error) {
	_, err := s.b.Stat(ctx, name)
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// compileCache keeps what XLA compiles in the folder of caches and, if share is set, in the store. nil: nothing is kept.
func (r *run) compileCache(backend string, share bool) *pjrt.Cache {
	compiles := backend == "auto" || strings.HasPrefix(backend, "xla:")
	if !compiles || r.o.CacheDir == "" {
		return nil
	}
	o := pjrt.CacheOptions{Dir: filepath.Join(r.o.CacheDir, "compiled"), Logger: r.o.Logger}
	if share {
		o.Store = compiledStore{layout.Compiled(r.o.Bucket)}
	}
	cache, err := pjrt.OpenCache(o)
	if err != nil {
		r.o.Logger.Warn("compiled programs are not kept: every start compiles", "error", err)
		return nil
	}
	return cache
}

// compiled tells of a program that is ready.
func (r *run) compiled(c pjrt.Compiled) {
	what := "program compiled"
	if c.From != pjrt.FromCompiler {
		what = "program loaded, not compiled"
	}
	r.o.Logger.Info(what, "program", c.Program, "from", c.From, "seconds", fmt.Sprintf("%.2f", c.Seconds), "key", c.Key,
		"arguments_bytes", c.Memory.Arguments, "outputs_bytes", c.Memory.Outputs, "alias_bytes", c.Memory.Alias,
		"temporary_bytes", c.Memory.Temporary, "code_bytes", c.Memory.Code)
}
