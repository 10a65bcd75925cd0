package dataset

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Set is one split. It is mapped into memory, so that processes of a host share its pages,
// or read into memory (see Load). It is safe for concurrent use until Close.
type Set struct {
	dir            string
	rows, groups   int
	ids            int
	oneID          bool // all rows have the same puzzle identifier
	inputs, labels column
	puzzleIDs      column
	groupIndices   column

	own    []byte     // rows as bytes, which replace the data of the columns; see Load
	mu     sync.Mutex // protects the fields below
	maps   [][]byte
	packed []byte // rows as bytes, see compactFile
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

// Open maps the split ("train" or "test") of a folder of the cache and checks that its
// files are complete and consistent. Only this program may write to that folder: if a
// mapped file becomes shorter, the process is killed.
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
	meta, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return inputf("open dataset: %v (`trmsweep dataset build` makes such a folder)", err)
	}
	var indices column
	for _, f := range []struct {
		name string
		c    *column
	}{
		{"inputs", &s.inputs},
		{"labels", &s.labels},
		{"puzzle_identifiers", &s.puzzleIDs},
		{"puzzle_indices", &indices},
		{"group_indices", &s.groupIndices},
	} {
		if err := s.mapFile(filepath.Join(dir, arrayFile(f.name)), f.c); err != nil {
			return err
		}
	}
	if err := s.fits(meta, &indices); err != nil {
		return err
	}
	for i, c := range []*column{&s.inputs, &s.labels} {
		if row, ok := c.checkValues(); !ok {
			return valueError(filepath.Join(dir, arrayFile(rowFiles[i])), row)
		}
	}
	return nil
}

const metaFile = "dataset.json"

func arrayFile(name string) string { return "all__" + name + ".npy" }

func valueError(path string, row int) error {
	return inputf("open dataset: %s has a value outside 0 to %d in row %d", path, maxValue, row)
}

// check checks the number of dimensions and the element type of an array.
func (c *column) check(path string, dims int) error {
	fits := len(c.shape) == dims
	if fits && dims == 2 {
		fits = c.shape[1] == 81
	}
	if !fits {
		return inputf("open dataset: %s has shape %v, want %s", path, c.shape, map[int]string{1: "one dimension", 2: "(rows, 81)"}[dims])
	}
	types := map[int][]string{1: {"<i4"}, 2: {"|u1", "<i8"}}[dims]
	if !slices.Contains(types, c.descr) {
		return inputf("open dataset: %s has dtype %s, want %s", path, c.descr, strings.Join(types, " "))
	}
	return nil
}

// fits checks that the arrays are those of a Sudoku set and have consistent sizes.
func (s *Set) fits(metaJSON []byte, indices *column) error {
	path := filepath.Join(s.dir, metaFile)
	var meta metadata
	if err := json.Unmarshal(metaJSON, &meta); err != nil {
		return inputf("open dataset: %s: %v", path, err)
	}
	if meta.SeqLen != 81 || meta.VocabSize != 11 {
		return inputf("open dataset: %s: seq_len %d and vocab_size %d, want 81 and 11: this is no Sudoku set", path, meta.SeqLen, meta.VocabSize)
	}
	s.ids = meta.NumPuzzleIdentifiers
	for _, f := range []struct {
		name string
		c    *column
		dims int
	}{
		{"inputs", &s.inputs, 2},
		{"labels", &s.labels, 2},
		{"puzzle_identifiers", &s.puzzleIDs, 1},
		{"puzzle_indices", indices, 1},
		{"group_indices", &s.groupIndices, 1},
	} {
		if err := f.c.check(filepath.Join(s.dir, arrayFile(f.name)), f.dims); err != nil {
			return err
		}
	}
	s.rows, s.groups = s.inputs.rows(), s.groupIndices.rows()-1
	for _, c := range []struct {
		ok    bool
		fault string
	}{
		{
			s.labels.rows() == s.rows,
			fmt.Sprintf("all__labels.npy has %d rows, all__inputs.npy %d", s.labels.rows(), s.rows),
		},
		{
			s.puzzleIDs.rows() == s.rows,
			fmt.Sprintf("all__puzzle_identifiers.npy has %d rows, all__inputs.npy %d", s.puzzleIDs.rows(), s.rows),
		},
		{
			indices.rows() == s.rows+1,
			fmt.Sprintf("all__puzzle_indices.npy has %d entries, want %d: every puzzle is one row", indices.rows(), s.rows+1),
		},
		{
			s.groups >= 1 && s.groups == meta.TotalGroups,
			fmt.Sprintf("all__group_indices.npy has %d groups, dataset.json says %d", s.groups, meta.TotalGroups),
		},
	} {
		if !c.ok {
			return inputf("open dataset: %s is inconsistent: %s", s.dir, c.fault)
		}
	}
	for i := range s.rows + 1 {
		if indices.int(i) != i {
			return inputf("open dataset: %s is inconsistent: all__puzzle_indices.npy has %d at %d: every puzzle is one row",
				s.dir, indices.int(i), i)
		}
	}
	for g := range s.groups {
		if s.groupStart(g) >= s.groupStart(g+1) {
			return inputf("open dataset: %s is inconsistent: all__group_indices.npy does not rise at group %d", s.dir, g)
		}
	}
	if s.groupStart(0) != 0 || s.groupStart(s.groups) != s.rows {
		return inputf("open dataset: %s is inconsistent: groups cover rows %d to %d of %d",
			s.dir, s.groupStart(0), s.groupStart(s.groups), s.rows)
	}
	s.oneID = true
	for i := range s.rows {
		s.oneID = s.oneID && s.puzzleIDs.int(i) == s.puzzleIDs.int(0)
		if id := s.puzzleIDs.int(i); id < 0 || id >= s.ids {
			return inputf("open dataset: %s is inconsistent: puzzle identifier %d in row %d, dataset.json allows 0 to %d", s.dir, id, i, s.ids-1)
		}
	}
	return nil
}

func (s *Set) mapFile(path string, c *column) error {
	f, err := openRegular(path)
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
	if c.npyInfo, err = parseNpy(m, int64(len(m))); err != nil {
		return inputf("open dataset: %s %v", path, err)
	}
	c.data = m[c.offset:]
	return nil
}

// Close unmaps the files. The Set must not be used afterwards.
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

// Rows returns the number of examples, augmentations included.
func (s *Set) Rows() int { return s.rows }

// Groups returns the number of puzzles before augmentation.
func (s *Set) Groups() int { return s.groups }

// NumPuzzleIdentifiers returns the number of rows of the puzzle embedding's table.
func (s *Set) NumPuzzleIdentifiers() int { return s.ids }

// Group returns the half-open range of rows of group g. Its first row is the puzzle without augmentation.
func (s *Set) Group(g int) (from, to int) { return s.groupStart(g), s.groupStart(g + 1) }

func (s *Set) groupStart(g int) int { return s.groupIndices.int(g) }

// Row copies row i into inputs and labels, 81 values each, in the model's encoding (0 is
// padding, 1 a blank, 2 to 10 are digits; a label of 0 is ignored). It returns the row's
// puzzle identifier.
func (s *Set) Row(i int, inputs, labels []uint8) int32 {
	if s.own != nil {
		copy(inputs[:81], s.own[compactRow*i:])
		copy(labels[:81], s.own[compactRow*i+81:])
		return s.id(i)
	}
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
