package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/localstack"
)

// closers close in the opposite order.
type closers []io.Closer

func (cs closers) Close() error {
	var err error
	for i := len(cs) - 1; i >= 0; i-- {
		err = errors.Join(err, cs[i].Close())
	}
	return err
}

// openResults opens the store that has the results: the one that was named, else
// the embedded stack's if the state folder has one, else STATE/store.
func openResults(ctx context.Context, a *app, flag string) (blob.Bucket, io.Closer, error) {
	return openStoreOf(ctx, a, flag, open.Bucket)
}

// openToRead is openResults for commands that write nothing, not even a folder of the store's own.
func openToRead(ctx context.Context, a *app, flag string) (blob.Bucket, io.Closer, error) {
	return openStoreOf(ctx, a, flag, open.ToRead)
}

func openStoreOf(
	ctx context.Context, a *app, flag string, opened func(context.Context, string) (blob.Bucket, io.Closer, error),
) (blob.Bucket, io.Closer, error) {
	address := envOr("TRMSWEEP_STORE", "")
	if flag != "" {
		address = flag
	}
	if address != "" {
		if err := storeExists(address); err != nil {
			return nil, nil, err
		}
		b, closer, err := opened(ctx, address)
		ofTheStore := errors.Is(err, blob.ErrTransient) || errors.Is(err, blob.ErrDenied)
		if err != nil && !ofTheStore {
			err = usageError{err}
		}
		return b, closer, err
	}
	if _, err := os.Stat(a.path("gcs")); err != nil {
		if _, err := os.Stat(a.path("store")); err != nil {
			return nil, nil, usagef("no results in %s: nothing was trained there; name another folder with --state, or a store with --store",
				a.stateDir)
		}
		return opened(ctx, a.path("store"))
	}
	address, stop, err := localstack.Storage(ctx, a.stateDir, a.stderr)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Setenv("STORAGE_EMULATOR_HOST", address); err != nil {
		return nil, nil, errors.Join(err, stop.Close())
	}
	b, closer, err := open.Bucket(ctx, defaultStore)
	if err != nil {
		return nil, nil, errors.Join(err, stop.Close())
	}
	return b, closers{stop, closer}, nil
}

// storeExists refuses a folder that is not there: opening one to read would make it.
func storeExists(address string) error {
	if strings.Contains(address, "://") {
		return nil
	}
	st, err := os.Stat(address)
	if err == nil && !st.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return usagef("no such run: no store at %s: %w; name the folder of the training, or gs://BUCKET/PREFIX, with --store or "+
			"TRMSWEEP_STORE", address, err)
	}
	return nil
}

// useEmbeddedStorage leads the default store to the embedded stack that runs on
// the state folder if neither store nor servers were named otherwise.
func useEmbeddedStorage(a *app, store string) error {
	if store != defaultStore || os.Getenv("TRMSWEEP_STORE")+os.Getenv("STORAGE_EMULATOR_HOST") != "" {
		return nil
	}
	if e, err := a.server().Resolve(); err == nil && e.Stack.GCS != "" && localstack.Answers(e.Stack.GCS) {
		return os.Setenv("STORAGE_EMULATOR_HOST", e.Stack.GCS)
	}
	return nil
}

// fetch copies objects of the store into the state folder under their keys and
// returns the files.
func fetch(ctx context.Context, a *app, b blob.Bucket, keys []string) ([]string, error) {
	var files []string
	for _, key := range keys {
		data, _, err := blob.ReadAll(ctx, b, key, 0)
		if err != nil {
			return files, fmt.Errorf("fetch report: %w", err)
		}
		file := a.path(filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return files, err
		}
		if err := replaceFile(file, data); err != nil { // not what a link there leads to
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}

// storeAddress is the store of a command that works without the embedded stack.
func storeAddress(a *app, flag string) string {
	if flag != "" {
		return flag
	}
	return envOr("TRMSWEEP_STORE", a.path("store"))
}
