package dataset

import (
	"encoding/binary"
	"os"
	"path/filepath"

	"trmsweep/internal/sudoku"
)

// twins finds test puzzles that are train puzzles up to symmetry: fingerprints
// find the candidates, the puzzles themselves decide. It holds some 20 bytes a train puzzle.
type twins struct {
	first map[uint64]int32   // fingerprint -> train group
	more  map[uint64][]int32 // further groups with it
	train *os.File           // of the inputs, once they are written
	wide  bool
	rows  int // of a group
}

func newTwins() *twins { return &twins{first: map[uint64]int32{}, more: map[uint64][]int32{}} }

// add notes a train puzzle.
func (t *twins) add(print uint64, group int) {
	if _, dup := t.first[print]; dup {
		t.more[print] = append(t.more[print], int32(group))
		return
	}
	t.first[print] = int32(group)
}

// seen says whether a train puzzle has the fingerprint.
func (t *twins) seen(print uint64) bool {
	_, ok := t.first[print]
	return ok
}

// written says where the train puzzles can be read back.
func (t *twins) written(w *splitWriter) (err error) {
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
	group, ok := t.first[print]
	if !ok {
		return false, nil
	}
	for _, g := range append([]int32{group}, t.more[print]...) {
		other, err := t.question(int(g))
		if err != nil {
			return false, err
		}
		if sudoku.Equivalent(&other, q) {
			return true, nil
		}
	}
	return false, nil
}

// question reads a train puzzle back.
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
