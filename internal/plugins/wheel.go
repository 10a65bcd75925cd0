package plugins

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Limits for unzipping. The hash is checked before; the limits keep a wrong pin from filling a disk.
const (
	maxMembers = 20_000
	maxBytes   = 8 << 30
)

// unzip writes the members that are kept into a folder, and their hashes into sums.
func (w Wheel) unzip(ctx context.Context, file, folder string, sums map[string]string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("open wheel %s: %w", file, err)
	}
	defer z.Close()
	if len(z.File) > maxMembers {
		return fmt.Errorf("wheel %s has %d members, more than %d", file, len(z.File), maxMembers)
	}
	found := map[string]bool{}
	var total uint64
	for _, m := range z.File {
		pattern, keep := w.keeps(m)
		if !keep {
			continue
		}
		found[pattern] = true
		// Each summand is bounded, so the sum does not wrap around.
		if total += min(m.UncompressedSize64, maxBytes+1); total > maxBytes {
			return fmt.Errorf("wheel %s holds more than %d GiB", file, maxBytes>>30)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if sums[m.Name], err = extract(m, folder); err != nil {
			return fmt.Errorf("unzip %s of %s: %w", m.Name, filepath.Base(file), err)
		}
	}
	for _, pattern := range w.Keep {
		if !found[pattern] {
			return fmt.Errorf("wheel %s has no %s", file, pattern)
		}
	}
	return nil
}

// keeps says by which pattern a member is kept. Licences and notices are always kept.
func (w Wheel) keeps(m *zip.File) (pattern string, keep bool) {
	if strings.HasSuffix(m.Name, "/") {
		return "", false
	}
	for _, pattern := range w.Keep {
		if ok, _ := path.Match(pattern, m.Name); ok {
			return pattern, true
		}
	}
	base := strings.ToUpper(path.Base(m.Name))
	for _, word := range []string{"LICENSE", "LICENCE", "NOTICE"} {
		if strings.Contains(base, word) {
			return "", true
		}
	}
	return "", false
}

// extract writes one member and returns its hash.
func extract(m *zip.File, folder string) (sum string, err error) {
	name := filepath.FromSlash(m.Name)
	if !filepath.IsLocal(name) {
		return "", errors.New("its name leads out of the folder")
	}
	if !m.Mode().IsRegular() {
		return "", fmt.Errorf("it is not a file but %s", m.Mode().Type())
	}
	dest := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return "", err
	}
	mode := fs.FileMode(0o644)
	if m.Mode()&0o100 != 0 {
		mode = 0o755
	}
	r, err := m.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	f, err := os.OpenFile(dest, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	limit := int64(m.UncompressedSize64) // at most maxBytes, by the caller
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("it is larger than the %d bytes it claims", limit)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	return hex.EncodeToString(h.Sum(nil)), err
}
