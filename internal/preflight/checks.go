package preflight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
)

// Opened is a store that a check may close.
type Opened struct {
	Bucket  blob.Bucket
	Closer  io.Closer
	Address string
}

// Configs resolves every experiment with a profile.
func Configs(cfg fs.FS, profile string, environ []string) Check {
	return Check{Name: "configuration", Run: func(context.Context) (string, error) {
		all, err := experiment.Experiments(cfg)
		if err != nil {
			return "", err
		}
		specs, err := experiment.ResolveSweep(cfg, all, profile, nil, environ)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d experiments valid with profile %s", len(specs), profile), nil
	}}
}

// Store writes, reads, refuses to overwrite, lists and deletes one small object:
// all permissions that checkpoints need.
func Store(open func(context.Context) (Opened, error)) Check {
	return Check{Name: "store", Run: func(ctx context.Context) (detail string, err error) {
		o, err := open(ctx)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, o.Closer.Close()) }()
		host, _ := os.Hostname()
		key, data := fmt.Sprintf("preflight/%s-%d", host, os.Getpid()), []byte("trmsweep preflight\n")
		a, err := blob.PutBytes(ctx, o.Bucket, key, data, blob.Any)
		if err != nil {
			return "", fmt.Errorf("write to %s: %w", o.Address, err)
		}
		got, _, err := blob.ReadAll(ctx, o.Bucket, key, 0)
		if err != nil || !bytes.Equal(got, data) {
			return "", fmt.Errorf("read back from %s: %w", o.Address, errors.Join(err, errors.New("not what was written")))
		}
		if _, err := blob.PutBytes(ctx, o.Bucket, key, data, blob.Absent); !errors.Is(err, blob.ErrPrecondition) {
			return "", fmt.Errorf("%s overwrites an object that must be absent (%v): checkpoints need generation preconditions", o.Address, err)
		}
		found := false
		for at, err := range o.Bucket.List(ctx, "preflight/") {
			if err != nil {
				return "", fmt.Errorf("list %s: %w", o.Address, err)
			}
			found = found || at.Key == key
		}
		if !found {
			return "", fmt.Errorf("list %s: the object just written is missing", o.Address)
		}
		if err := o.Bucket.Delete(ctx, key, a.Generation); err != nil {
			return "", fmt.Errorf("delete from %s: %w", o.Address, err)
		}
		return o.Address + ": write, read, precondition, list, delete", nil
	}}
}

// Disk wants free bytes where dir is or will be.
func Disk(dir string, want uint64) Check {
	return Check{Name: "disk", Run: func(context.Context) (string, error) {
		at, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		var st syscall.Statfs_t
		for err = syscall.Statfs(at, &st); errors.Is(err, syscall.ENOENT) && at != "/"; err = syscall.Statfs(at, &st) {
			at = filepath.Dir(at)
		}
		if err != nil {
			return "", fmt.Errorf("look at the disk of %s: %w", at, err)
		}
		free := st.Bavail * uint64(st.Bsize)
		if free < want {
			return "", fmt.Errorf("%s has %.1f GB free, want %.1f GB: free some or choose another --state", at, float64(free)/1e9, float64(want)/1e9)
		}
		return fmt.Sprintf("%.1f GB free at %s", float64(free)/1e9, at), nil
	}}
}
