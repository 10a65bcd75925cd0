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
	"trmsweep/internal/layout"
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
		key, data := layout.ProbeKey(host, os.Getpid()), []byte("trmsweep preflight\n")
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
		for at, err := range o.Bucket.List(ctx, layout.Preflight) {
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
		at, free, err := freeAt(dir)
		if err != nil {
			return "", err
		}
		if free < want {
			return "", fmt.Errorf("%s has %.1f GB free, want %.1f GB: free some or choose another --state", at, float64(free)/1e9, float64(want)/1e9)
		}
		return fmt.Sprintf("%.1f GB free at %s", float64(free)/1e9, at), nil
	}}
}

// Room wants room for the checkpoints that the specs' runs keep, less what the store
// holds of them, where dir is or will be: the folder of a store on this host.
func Room(dir string, specs []experiment.Spec) Check {
	return Check{Name: "room in the store", Run: func(ctx context.Context) (string, error) {
		at, free, err := freeAt(dir)
		if err != nil {
			return "", err
		}
		need := 0.0
		runs := map[string]bool{}
		for _, s := range specs {
			if runs[s.RunName()] {
				continue
			}
			runs[s.RunName()] = true
			missing := float64(s.StoredBytes())
			for _, name := range s.RunNames() {
				stored, err := folderBytes(ctx, filepath.Join(dir, filepath.FromSlash(layout.RunKey(name, ""))))
				if err != nil {
					return "", err
				}
				missing -= stored
			}
			need += max(0, missing)
		}
		text := fmt.Sprintf("%s free at %s, the checkpoints of %d runs take %s more", gigabytes(float64(free)), at, len(runs), gigabytes(need))
		if need > float64(free) {
			return "", fmt.Errorf("%s: free some, keep fewer with keep_checkpoints, or choose another --store", text)
		}
		return text, nil
	}}
}

func gigabytes(n float64) string { return fmt.Sprintf("%.2f GB", n/1e9) }

// freeAt is what this user may still write where dir is or will be, and the folder that was looked at.
func freeAt(dir string) (at string, free uint64, err error) {
	if at, err = filepath.Abs(dir); err != nil {
		return "", 0, err
	}
	var st syscall.Statfs_t
	for err = syscall.Statfs(at, &st); errors.Is(err, syscall.ENOENT) && at != "/"; err = syscall.Statfs(at, &st) {
		at = filepath.Dir(at)
	}
	if err != nil {
		return at, 0, fmt.Errorf("look at the disk of %s: %w", at, err)
	}
	return at, st.Bavail * uint64(st.Bsize), nil
}

// folderBytes is the size of what lies in a folder; one that is not there has none.
func folderBytes(ctx context.Context, dir string) (n float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // perhaps removed meanwhile
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += float64(info.Size())
		}
		return nil
	})
	return n, err
}
