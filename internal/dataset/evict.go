package dataset

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// CacheLimit is the size limit of the local cache of datasets in bytes. The least recently used datasets are removed first.
var CacheLimit int64 = 20 << 30

// evict removes the least recently used datasets until the cache is within CacheLimit. It
// never removes keep or datasets used in the last hour. Sets that are open stay readable.
func evict(base, keep string) {
	type entry struct {
		hash string
		size int64
		used time.Time
	}
	var all []entry
	var total int64
	sweepParts(base, ".")
	dirs, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, d := range dirs {
		st, err := os.Stat(filepath.Join(base, d.Name(), manifestFile))
		if err != nil {
			continue
		}
		e := entry{d.Name(), 0, st.ModTime()}
		_ = filepath.WalkDir(filepath.Join(base, d.Name()), func(_ string, f fs.DirEntry, err error) error {
			if err == nil {
				if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
					e.size += info.Size()
				}
			}
			return nil
		})
		total += e.size
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int { return a.used.Compare(b.used) })
	for _, e := range all {
		if total <= CacheLimit {
			return
		}
		if e.hash == keep || time.Since(e.used) < time.Hour {
			continue
		}
		if os.RemoveAll(filepath.Join(base, e.hash)) == nil {
			total -= e.size
		}
	}
}

// evictFiles does the same for the files of dir, and removes unfinished files that are
// more than a day old.
func evictFiles(dir, keep string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var all []fs.FileInfo
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasPrefix(e.Name(), partMark):
			if time.Since(info.ModTime()) > 24*time.Hour {
				os.Remove(filepath.Join(dir, e.Name()))
			}
		case !strings.HasPrefix(e.Name(), "."):
			all = append(all, info)
			total += info.Size()
		}
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range all {
		if total <= CacheLimit {
			return
		}
		if f.Name() != keep && time.Since(f.ModTime()) >= time.Hour && os.Remove(filepath.Join(dir, f.Name())) == nil {
			total -= f.Size()
		}
	}
}
