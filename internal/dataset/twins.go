package dataset

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"

	"trmsweep/internal/sudoku"
)

// twins finds test puzzles that are train puzzles up to symmetry: fingerprints give the
// candidates, and a comparison of the puzzles decides. It needs 8 bytes per train puzzle.
type twins struct {
	keys  []uint64 // upper half: of the fingerprint, lower half: group; sorted by method written
	train *os.File // file of the train inputs, set by method written
	wide  bool
	rows  int // rows per group
}

// add registers a train puzzle.
func (t *twins) add(print uint64, group int) {
	t.keys = append(t.keys, high(print)|uint64(group))
}

func high(print uint64) uint64 { return print &^ (1<<32 - 1) }

// candidates returns the keys of the train groups whose fingerprints agree in the upper half.
func (t *twins) candidates(print uint64) []uint64 {
	from, _ := slices.BinarySearch(t.keys, high(print))
	to := from
	for to < len(t.keys) && high(t.keys[to]) == high(print) {
		to++
	}
	return t.keys[from:to]
}

// written must be called after the last add: it sorts the keys and remembers the file of the train puzzles.
func (t *twins) written(w *splitWriter) (err error) {
	slices.Sort(t.keys)
	t.wide, t.rows = w.wide, w.rowsPerGroup()
	t.train, err = os.Open(filepath.Join(w.dir, "all__inputs.npy"))
	return err
}

func (t *twins) close() {
	if t.train != nil {
		t.train.Close()
	}
}

// has says whether q is a train puzzle up to symmetry.
func (t *twins) has(print uint64, q *sudoku.Grid) (bool, error) {
	for _, key := range t.candidates(print) {
		other, err := t.question(int(uint32(key)))
		if err != nil {
			return false, err
		}
		if sudoku.Equivalent(&other, q) {
			return true, nil
		}
	}
	return false, nil
}

// question reads the first row of a train group from the file.
func (t *twins) question(group int) (q sudoku.Grid, err error) {
	elem := 1
	if t.wide {
		elem = 8
	}
	var buf [8 * 81]byte
	b := buf[:81*elem]
	if _, err := t.train.ReadAt(b, npyHeaderLen+int64(group)*int64(t.rows)*int64(len(b))); err != nil {
		return q, err
	}
	for i := range q {
		v := b[i*elem]
		if t.wide {
			v = uint8(binary.LittleEndian.Uint64(b[8*i:]))
		}
		q[i] = v - 1
	}
	return q, nil
}
