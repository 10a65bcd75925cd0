package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// Options are the options of Install.
type Options struct {
	Dir    string       // folder of installed plugins
	Wheels []string     // files to use instead of pip
	Log    func(string) // is called with lines for the user; may be nil
	Stderr io.Writer    // receives pip's messages; may be nil
}

// Result is an installed plugin.
type Result struct {
	Path    string // path of the library
	Already bool   // the plugin was installed and intact; nothing was done
}

// partPrefix begins the name of a folder that is being filled.
const partPrefix = ".installing-"

// Install installs the plugin, or leaves the folder of plugins as it was. If several
// processes call it at once, one of them works and the others wait.
func (p Plugin) Install(ctx context.Context, o Options) (Result, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if err := p.here(); err != nil {
		return Result{}, err
	}
	files, err := p.given(o.Wheels)
	if err != nil {
		return Result{}, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return Result{}, fmt.Errorf("folder of plugins: %w; %s names another", err, DirEnv)
	}
	unlock, err := lock(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	sweep(o.Dir)
	done := Result{Path: p.Path(o.Dir)}
	if p.Installed(o.Dir) {
		damage := p.Verify(o.Dir)
		if damage == nil {
			done.Already = true
			return done, nil
		}
		o.Log(damage.Error() + "; installing it again")
	}
	part, err := os.MkdirTemp(o.Dir, partPrefix)
	if err != nil {
		return Result{}, p.full(o, fmt.Errorf("folder of plugins: %w", err))
	}
	defer os.RemoveAll(part)
	if err := p.fill(ctx, o, part, files); err != nil {
		return Result{}, p.full(o, err)
	}
	return done, p.publish(o.Dir, part)
}

// fill downloads the wheels that files lacks and unzips all of them into part/whole.
func (p Plugin) fill(ctx context.Context, o Options, part string, files map[string]string) error {
	whole := filepath.Join(part, "whole")
	r := record{Backend: p.Backend, What: p.What, API: p.API, Library: p.Library, Files: map[string]string{}}
	for _, w := range p.Wheels {
		file := files[w.SHA256]
		if file == "" {
			o.Log(fmt.Sprintf("fetching %s %s (%d MB, %s) with pip", w.Package, w.Version, w.Size/1e6, w.Licence))
			fetched, err := w.fetch(ctx, o, part)
			if err != nil {
				return err
			}
			file = fetched
		}
		if err := w.unzip(ctx, file, whole, r.Files); err != nil {
			return err
		}
		if filepath.Dir(file) == part {
			_ = os.Remove(file) // frees space for the next wheel
		}
		r.Wheels = append(r.Wheels, source{w.File, w.SHA256, w.Licence, w.Source()})
	}
	if _, ok := r.Files[p.Library]; !ok {
		return fmt.Errorf("the wheels of %s do not have %s", p.Backend, p.Library)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(whole, recordFile), append(data, '\n')); err != nil {
		return err
	}
	return syncDirs(whole)
}

// given returns the user's files by their hashes. They must be exactly the pinned wheels. If there are any, pip is not used.
func (p Plugin) given(paths []string) (map[string]string, error) {
	files := map[string]string{}
	for _, path := range paths {
		hash, err := hashFile(path)
		if err != nil {
			return nil, fmt.Errorf("read wheel: %w", err)
		}
		if !slices.Contains(p.hashes(), hash) {
			return nil, p.another(path, hash)
		}
		files[hash] = path
	}
	if len(files) == 0 || len(files) == len(p.Wheels) {
		return files, nil
	}
	i := slices.IndexFunc(p.Wheels, func(w Wheel) bool { return files[w.SHA256] == "" })
	missing := p.Wheels[i]
	return nil, fmt.Errorf("%d of the %d wheels of %s are given; missing is %s, from %s",
		len(files), len(p.Wheels), p.Backend, missing.File, missing.Source())
}

// another returns the error for a file that is none of the wheels.
func (p Plugin) another(path, hash string) error {
	for _, w := range p.Wheels {
		if len(p.Wheels) == 1 || w.File == filepath.Base(path) {
			return w.mismatch(path, hash)
		}
	}
	return fmt.Errorf("%s (sha256 %s) is none of the %d wheels that are pinned for %s", path, hash, len(p.Wheels), p.Backend)
}

func (w Wheel) mismatch(path, hash string) error {
	return fmt.Errorf("%s is not the pinned wheel: its sha256 is %s, %s has %s; get it from %s", path, hash, w.File, w.SHA256, w.Source())
}

// publish renames the filled folder to the plugin's folder. (github.com/google/renameio replaces files only.)
func (p Plugin) publish(dir, part string) error {
	folder := p.Folder(dir)
	if err := os.Rename(folder, filepath.Join(part, "old")); err != nil && !errors.Is(err, os.ErrNotExist) { // a damaged one
		return fmt.Errorf("replace %s: %w", folder, err)
	}
	if err := os.Rename(filepath.Join(part, "whole"), folder); err != nil {
		return fmt.Errorf("install %s: %w", folder, err)
	}
	return syncDir(dir)
}

// full adds advice to an error that is caused by a full disk.
func (p Plugin) full(o Options, err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) && !errors.Is(err, syscall.EFBIG) {
		return err
	}
	return fmt.Errorf("%w: nothing was installed; %s needs about %d MB in %s (%s names another folder)",
		err, p.Backend, 5*p.Size()/1e6, o.Dir, DirEnv)
}

// lock excludes other installations from the folder until unlock is called or this process dies.
func lock(ctx context.Context, o Options) (unlock func(), err error) {
	f := flock.New(filepath.Join(o.Dir, ".lock"), flock.SetPermissions(0o644))
	locked, err := f.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the folder of plugins: %w; %s names another", err, DirEnv)
	}
	if !locked {
		o.Log("another process installs into " + o.Dir + "; waiting for it")
		if _, err := f.TryLockContext(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("lock the folder of plugins: %w", err)
		}
	}
	return func() { _ = f.Close() }, nil
}

// sweep removes the remains of installations that were killed. The caller must have the lock.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, partPrefix+"*"))
	for _, path := range left {
		_ = os.RemoveAll(path)
	}
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeFile writes a file and syncs it to disk.
func writeFile(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDirs syncs a folder and all folders below it to disk.
func syncDirs(folder string) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDir(path)
	})
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
