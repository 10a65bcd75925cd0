package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// Folder is a dataset in this process's own memory. Its files were read once, and Hash was
// computed from the bytes that were read: later changes of the files have no effect. A
// row takes 162 bytes, whatever the type of the arrays.
type Folder struct {
	Hash   string // see HashDir
	splits map[string]*loading
}

// loading is a split whose files are being read.
type loading struct {
	set     *Set
	meta    []byte
	indices column
	err     error // the first error
}

// rowFiles are the two-dimensional arrays, in their order in a row of Set.own.
var rowFiles = [2]string{"inputs", "labels"}

// Load reads a dataset folder that other programs may change. Open is for folders of the cache.
func Load(dir string) (*Folder, error) {
	f := &Folder{splits: map[string]*loading{}}
	for _, name := range []string{"train", "test"} {
		f.splits[name] = &loading{set: &Set{dir: filepath.Join(dir, name)}}
	}
	m, err := f.read(dir)
	if err != nil {
		f.Close()
		return nil, inputf("read dataset: %v", err)
	}
	f.Hash = m.contents()
	for _, l := range f.splits {
		if l.err == nil {
			l.err = l.finish()
		}
	}
	return f, nil
}

// Split returns the set "train" or "test", or the error that reading it gave. Close makes the set unusable.
func (f *Folder) Split(name string) (*Set, error) {
	l := f.splits[name]
	if l == nil {
		return nil, inputf("open dataset: there is no split %q", name)
	}
	return l.set, l.err
}

// Close frees the memory of both sets.
func (f *Folder) Close() error {
	var errs []error
	for _, l := range f.splits {
		errs = append(errs, l.set.Close())
	}
	return errors.Join(errs...)
}

func (f *Folder) read(dir string) (manifest, error) {
	var m manifest
	err := walkFiles(dir, func(path, name string) error {
		file, err := openRegular(path)
		if err != nil {
			return err
		}
		defer file.Close()
		st, err := file.Stat()
		if err != nil {
			return err
		}
		sum := sha256.New()
		r := bufio.NewReaderSize(io.TeeReader(file, sum), 1<<20)
		split, base, _ := strings.Cut(name, "/")
		if l := f.splits[split]; l != nil && l.err == nil {
			l.err = l.readFile(r, path, base, st.Size())
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
		m.Files = append(m.Files, fileInfo{name, st.Size(), hex.EncodeToString(sum.Sum(nil))})
		return nil
	})
	return m, err
}

// walkFiles calls f for every file of a dataset in order. It skips names that begin with a dot, which are not part of it (see compactFile).
func walkFiles(dir string, f func(path, name string) error) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return f(path, filepath.ToSlash(name))
	})
}

// readFile reads a file of the split and ignores other files.
func (l *loading) readFile(r *bufio.Reader, path, name string, size int64) (err error) {
	if name == metaFile {
		l.meta, err = io.ReadAll(io.LimitReader(r, 1<<20))
		return err
	}
	for i, array := range rowFiles {
		if name == arrayFile(array) {
			return l.readRows(r, path, i, size)
		}
	}
	arrays := map[string]*column{
		"puzzle_identifiers": &l.set.puzzleIDs,
		"puzzle_indices":     &l.indices,
		"group_indices":      &l.set.groupIndices,
	}
	for array, c := range arrays {
		if name != arrayFile(array) {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if c.npyInfo, err = parseNpy(b, int64(len(b))); err != nil {
			return inputf("open dataset: %s %v", path, err)
		}
		c.data = b[c.offset:]
	}
	return nil
}

// readRows reads the file of inputs (0) or labels (1) as bytes.
func (l *loading) readRows(r *bufio.Reader, path string, which int, size int64) error {
	s := l.set
	c := []*column{&s.inputs, &s.labels}[which]
	head, err := peekNpy(r)
	if err == nil {
		c.npyInfo, err = parseNpy(head, size)
	}
	if err != nil {
		return inputf("open dataset: %s %v", path, err)
	}
	if err := c.check(path, 2); err != nil {
		return err
	}
	if _, err := r.Discard(c.offset); err != nil {
		return err
	}
	need := compactRow * c.rows()
	if s.own == nil && need > 0 {
		if s.own, err = syscall.Mmap(-1, 0, need, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE); err != nil {
			return fmt.Errorf("open dataset: %d bytes of memory for the rows of %s: %w", need, s.dir, err)
		}
		s.maps = append(s.maps, s.own)
	}
	if len(s.own) != need {
		return inputf("open dataset: %s is inconsistent: all__labels.npy has %d rows, all__inputs.npy %d",
			s.dir, s.labels.rows(), s.inputs.rows())
	}
	one := column{npyInfo: c.npyInfo, data: make([]byte, 81*c.size)}
	one.shape = []int{1, 81}
	for i := range c.rows() {
		if _, err := io.ReadFull(r, one.data); err != nil {
			return inputf("open dataset: %s was changed while it was read: %v", path, err)
		}
		at := compactRow*i + 81*which
		if _, ok := one.checkValues(); !ok {
			return valueError(path, i)
		}
		one.row(0, s.own[at:at+81])
	}
	if _, err := r.Peek(1); err != io.EOF {
		return inputf("open dataset: %s was changed while it was read: it has become longer", path)
	}
	return nil
}

// peekNpy returns the header of a .npy file, or less if the file is shorter.
func peekNpy(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(10)
	if err == nil {
		head, err = r.Peek(10 + int(head[8]) + int(head[9])<<8)
	}
	if err == io.EOF {
		err = nil // parseNpy reports the short header
	}
	return head, err
}

func (l *loading) finish() error {
	s := l.set
	if l.meta == nil {
		return inputf("open dataset: %s is missing (`trmsweep dataset build` makes such a folder)", filepath.Join(s.dir, metaFile))
	}
	for array, c := range map[string]*column{
		"inputs": &s.inputs, "labels": &s.labels,
		"puzzle_identifiers": &s.puzzleIDs, "puzzle_indices": &l.indices, "group_indices": &s.groupIndices,
	} {
		if c.shape == nil {
			return inputf("open dataset: %s is missing or empty", filepath.Join(s.dir, arrayFile(array)))
		}
	}
	s.packed = s.own
	return s.fits(l.meta, &l.indices)
}
