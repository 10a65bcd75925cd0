package dataset

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Set is one split, mapped into memory: processes on one host share its pages.
// It is safe for concurrent use until Close.
type Set struct {
	dir            string
	rows, groups   int
	ids            int
	oneID          bool // the identifier of every row is that of the first
	inputs, labels column
	puzzleIDs      column
	groupIndices   column

	mu     sync.Mutex // of what follows
	maps   [][]byte
	packed []byte // the rows as bytes, see compactFile
}

// column is one mapped array.
type column struct {
	npyInfo
	data []byte
}

func (c *column) int(i int) int {
	switch c.size {
	case 4:
		return int(int32(binary.LittleEndian.Uint32(c.data[4*i:])))
	case 8:
		return int(int64(binary.LittleEndian.Uint64(c.data[8*i:])))
	}
	return int(c.data[i])
}

type metadata struct {
	SeqLen               int `json:"seq_len"`
	VocabSize            int `json:"vocab_size"`
	TotalGroups          int `json:"total_groups"`
	NumPuzzleIdentifiers int `json:"num_puzzle_identifiers"`
}

// Open maps the split ("train" or "test") of a dataset folder and checks that its
// files are complete and fit each other.
func Open(dir, split string) (*Set, error) {
	s := &Set{}
	if err := s.open(filepath.Join(dir, split)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Set) open(dir string) error {
	s.dir = dir
	path := filepath.Join(dir, "dataset.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return inputf("open dataset: %v (`trmsweep dataset build` makes such a folder)", err)
	}
	var meta metadata
	if err := json.Unmarshal(b, &meta); err != nil {
		return inputf("open dataset: %s: %v", path, err)
	}
	if meta.SeqLen != 81 || meta.VocabSize != 11 {
		return inputf("open dataset: %s: seq_len %d and vocab_size %d, want 81 and 11: this is no Sudoku set", path, meta.SeqLen, meta.VocabSize)
	}
	s.ids = meta.NumPuzzleIdentifiers
	var indices column
	for _, f := range []struct {
		name   string
		c      *column
		dims   int
		dtypes string
	}{
		{"inputs", &s.inputs, 2, "|u1 <i8"}, {"labels", &s.labels, 2, "|u1 <i8"},
		{"puzzle_identifiers", &s.puzzleIDs, 1, "<i4"}, {"puzzle_indices", &indices, 1, "<i4"}, {"group_indices", &s.groupIndices, 1, "<i4"},
	} {
		path := filepath.Join(dir, "all__"+f.name+".npy")
		if err := s.mapFile(path, f.c); err != nil {
			return err
		}
		if len(f.c.shape) != f.dims || (f.dims == 2 && f.c.shape[1] != 81) {
			return inputf("open dataset: %s has shape %v, want %s", path, f.c.shape, map[int]string{1: "one dimension", 2: "(rows, 81)"}[f.dims])
		}
		if f.dims == 1 && f.c.descr != "<i4" || f.dims == 2 && f.c.descr != "|u1" && f.c.descr != "<i8" {
			return inputf("open dataset: %s has dtype %s, want %s", path, f.c.descr, f.dtypes)
		}
	}
	s.rows, s.groups = s.inputs.rows(), s.groupIndices.rows()-1
	fits := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return inputf("open dataset: %s is inconsistent: "+format, append([]any{dir}, args...)...)
	}
	for _, err := range []error{
		fits(s.labels.rows() == s.rows, "all__labels.npy has %d rows, all__inputs.npy %d", s.labels.rows(), s.rows),
		fits(s.puzzleIDs.rows() == s.rows, "all__puzzle_identifiers.npy has %d rows, all__inputs.npy %d", s.puzzleIDs.rows(), s.rows),
		fits(indices.rows() == s.rows+1, "all__puzzle_indices.npy has %d entries, want %d: every puzzle is one row", indices.rows(), s.rows+1),
		fits(s.groups >= 1 && s.groups == meta.TotalGroups, "all__group_indices.npy has %d groups, dataset.json says %d", s.groups, meta.TotalGroups),
	} {
		if err != nil {
			return err
		}
	}
	for i := range s.rows + 1 {
		if indices.int(i) != i {
			return inputf("open dataset: %s is inconsistent: all__puzzle_indices.npy has %d at %d: every puzzle is one row", dir, indices.int(i), i)
		}
	}
	for g := range s.groups {
		if s.groupStart(g) >= s.groupStart(g+1) {
			return inputf("open dataset: %s is inconsistent: all__group_indices.npy does not rise at group %d", dir, g)
		}
	}
	if s.groupStart(0) != 0 || s.groupStart(s.groups) != s.rows {
		return inputf("open dataset: %s is inconsistent: groups cover rows %d to %d of %d", dir, s.groupStart(0), s.groupStart(s.groups), s.rows)
	}
	for _, f := range []struct {
		name string
		c    *column
	}{{"inputs", &s.inputs}, {"labels", &s.labels}} {
		if f.c.size > 1 {
			continue // narrow looks at them
		}
		if row, ok := f.c.checkValues(); !ok {
			return inputf("open dataset: %s has a value outside 0 to %d in row %d", filepath.Join(dir, "all__"+f.name+".npy"), maxValue, row)
		}
	}
	s.oneID = true
	for i := range s.rows {
		s.oneID = s.oneID && s.puzzleIDs.int(i) == s.puzzleIDs.int(0)
		if id := s.puzzleIDs.int(i); id < 0 || id >= s.ids {
			return inputf("open dataset: %s is inconsistent: puzzle identifier %d in row %d, dataset.json allows 0 to %d", dir, id, i, s.ids-1)
		}
	}
	return nil
}

func (s *Set) mapFile(path string, c *column) error {
	f, err := os.Open(path)
	if err != nil {
		return inputf("open dataset: %v", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() == 0 {
		return inputf("open dataset: %s is empty, want a .npy file", path)
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	s.maps = append(s.maps, m)
	if c.npyInfo, err = parseNpy(m); err != nil {
		return inputf("open dataset: %s %v", path, err)
	}
	c.data = m[c.offset:]
	return nil
}

// Close unmaps the files; the Set must not be used any more.
func (s *Set) Close() error {
	var first error
	for _, m := range s.maps {
		if err := syscall.Munmap(m); err != nil && first == nil {
			first = err
		}
	}
	s.maps = nil
	return first
}

// Rows is the number of examples, Groups that of puzzles before augmentation.
func (s *Set) Rows() int { return s.rows }

// Groups is the number of puzzles before augmentation.
func (s *Set) Groups() int { return s.groups }

// NumPuzzleIdentifiers is the size of the puzzle embedding's table.
func (s *Set) NumPuzzleIdentifiers() int { return s.ids }

// Group is the half-open range of rows of group g; its first row is the puzzle itself.
func (s *Set) Group(g int) (from, to int) { return s.groupStart(g), s.groupStart(g + 1) }

func (s *Set) groupStart(g int) int { return s.groupIndices.int(g) }

// Row copies row i as the model sees it into inputs and labels (81 values each: 0 is
// padding, 1 a blank, 2..10 digits; a label of 0 is ignored) and returns its puzzle identifier.
func (s *Set) Row(i int, inputs, labels []uint8) int32 {
	s.inputs.row(i, inputs)
	s.labels.row(i, labels)
	return s.id(i)
}

func (s *Set) id(i int) int32 {
	if s.oneID {
		i = 0
	}
	return int32(s.puzzleIDs.int(i))
}
