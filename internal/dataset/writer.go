package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"trmsweep/internal/sudoku"
)

// splitWriter writes one split. Groups are numbered in the order of add. Workers encode
// them and write them at their place, so that the bytes depend on that order only.
type splitWriter struct {
	ctx     context.Context // when it ends, the work stops, even inside a group
	dir     string
	numAug  int
	wide    bool // write int64 instead of uint8
	seed    uint64
	inputs  *os.File
	labels  *os.File
	work    chan chunk
	pending chunk
	wg      sync.WaitGroup
	mu      sync.Mutex
	err     error

	groups  int
	ratings map[int]int
	clues   map[int]int
}

type chunk struct {
	first int // number of the first group
	rows  []row
}

// chunkBytes is the approximate size of the part of an array that a worker encodes before it writes: its cache holds
// the parts of both arrays.
const chunkBytes = 1 << 18

// maxRows is the greatest number of rows that the int32 indices of the reference format can count.
const maxRows = math.MaxInt32 - 1

// checkRows returns an error if a split would have too many rows.
func checkRows(groups, numAug int) error {
	if groups > maxRows/(numAug+1) {
		return optionsf("%d puzzles with %d augmentations each are more than %d rows, the most that a dataset's indices can count; "+
			"lower the number of augmentations, or draw fewer puzzles", groups, numAug, maxRows)
	}
	return nil
}

func newSplitWriter(ctx context.Context, dir string, o Options, numAug int) (*splitWriter, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, diskError(err)
	}
	w := &splitWriter{
		ctx:     ctx,
		dir:     dir,
		numAug:  numAug,
		wide:    numAug > 0 && !o.Compact,
		seed:    uint64(o.Seed),
		ratings: map[int]int{},
		clues:   map[int]int{},
	}
	var err error
	if w.inputs, err = os.Create(filepath.Join(dir, "all__inputs.npy")); err != nil {
		return nil, diskError(err)
	}
	if w.labels, err = os.Create(filepath.Join(dir, "all__labels.npy")); err != nil {
		w.inputs.Close()
		return nil, diskError(err)
	}
	n := o.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	w.work = make(chan chunk, n)
	for range n {
		w.wg.Go(w.worker)
	}
	return w, nil
}

func (w *splitWriter) elem() int {
	if w.wide {
		return 8
	}
	return 1
}

func (w *splitWriter) rowsPerGroup() int { return w.numAug + 1 }

func (w *splitWriter) add(p row) error {
	if err := checkRows(w.groups+1, w.numAug); err != nil {
		return err
	}
	if len(w.pending.rows) == 0 {
		w.pending.first = w.groups
	}
	w.pending.rows = append(w.pending.rows, p)
	w.groups++
	w.ratings[p.Rating]++
	w.clues[p.Question.Clues()]++
	if len(w.pending.rows)*w.rowsPerGroup()*81*w.elem() >= chunkBytes {
		w.work <- w.pending
		w.pending = chunk{}
	}
	return w.failed()
}

// failed returns the error after which nothing more must be written, nil if there is none.
func (w *splitWriter) failed() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *splitWriter) worker() {
	row := 81 * w.elem()
	in, lab := make([]byte, 0, chunkBytes/row*row), make([]byte, 0, chunkBytes/row*row)
	for c := range w.work {
		at := int64(npyHeaderLen) + int64(c.first)*int64(w.rowsPerGroup()*row)
		flush := func() (ok bool) {
			if w.failed() != nil {
				in, lab = in[:0], lab[:0]
				return false
			}
			_, err := w.inputs.WriteAt(in, at)
			if err == nil {
				_, err = w.labels.WriteAt(lab, at)
			}
			if err != nil {
				w.fail(err)
			}
			at += int64(len(in))
			in, lab = in[:0], lab[:0]
			return err == nil
		}
		ok := true
		for i := 0; i < len(c.rows) && ok; i++ {
			for aug := 0; aug < w.rowsPerGroup() && ok; aug++ {
				n := len(in)
				in, lab = in[:n+row], lab[:n+row]
				w.encode(in[n:], lab[n:], &c.rows[i], aug)
				if len(in) == cap(in) {
					ok = flush()
				}
			}
		}
		flush()
	}
}

func (w *splitWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = diskError(err)
	}
}

// encode writes a row: the puzzle itself (aug 0) or an augmentation, whose random draws
// are keyed by seed, row of the source and number of the augmentation.
func (w *splitWriter) encode(in, lab []byte, p *row, aug int) {
	src, digits := identityMap, identityDigits
	if aug > 0 {
		r := sudoku.NewRand(w.seed, uint64(p.index), uint64(aug))
		t := sudoku.RandomTransform(&r)
		src, digits = t.Source(), t.Digits
	}
	var question, answer [128]uint8 // in the model's encoding; a power of two saves bounds checks
	for i := range 81 {
		question[i], answer[i] = digits[p.Question[i]]+1, digits[p.Answer[i]]+1
	}
	if w.wide {
		in, lab := (*[8 * 81]byte)(in), (*[8 * 81]byte)(lab)
		for i, s := range src {
			binary.LittleEndian.PutUint64(in[8*i:], uint64(question[s%128]))
			binary.LittleEndian.PutUint64(lab[8*i:], uint64(answer[s%128]))
		}
		return
	}
	for i, s := range src {
		in[i], lab[i] = question[s%128], answer[s%128]
	}
}

var identityMap, identityDigits = func() (m [81]uint8, d [10]uint8) {
	for i := range m {
		m[i] = uint8(i)
	}
	for i := range d {
		d[i] = uint8(i)
	}
	return m, d
}()

// stop ends the workers and closes the files. It is the first part of finish.
func (w *splitWriter) stop() error {
	if len(w.pending.rows) > 0 {
		w.work <- w.pending
		w.pending = chunk{}
	}
	close(w.work)
	w.wg.Wait()
	return w.failed()
}

func (w *splitWriter) abandon() {
	w.pending = chunk{}
	_ = w.stop()
	w.inputs.Close()
	w.labels.Close()
}

// finish writes headers, indices and dataset.json. It does not sync the files to disk.
func (w *splitWriter) finish() error {
	err := w.stop()
	n := w.groups * w.rowsPerGroup()
	descr := "|u1"
	if w.wide {
		descr = "<i8"
	}
	for _, f := range []*os.File{w.inputs, w.labels} {
		if err == nil {
			_, err = f.WriteAt(npyHeader(descr, n, 81), 0)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err == nil {
		err = writeInt32(w.ctx, filepath.Join(w.dir, "all__puzzle_identifiers.npy"), n, func(int) int32 { return 0 })
	}
	if err == nil {
		err = writeInt32(w.ctx, filepath.Join(w.dir, "all__puzzle_indices.npy"), n+1, func(i int) int32 { return int32(i) })
	}
	if err == nil {
		group := func(i int) int32 { return int32(i * w.rowsPerGroup()) }
		err = writeInt32(w.ctx, filepath.Join(w.dir, "all__group_indices.npy"), w.groups+1, group)
	}
	if err == nil {
		// The bytes must equal those of the reference: total_puzzles counts groups, and there is no final newline.
		meta := fmt.Sprintf(`{"pad_id": 0, "ignore_label_id": 0, "blank_identifier_id": 0, "vocab_size": 11, "seq_len": 81, `+
			`"num_puzzle_identifiers": 1, "total_groups": %d, "mean_puzzle_examples": 1.0, "total_puzzles": %d, "sets": ["all"]}`,
			w.groups, w.groups)
		err = os.WriteFile(filepath.Join(w.dir, "dataset.json"), []byte(meta), 0o644)
	}
	return diskError(err)
}

// diskError adds advice to an error that is caused by a full disk.
func diskError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("disk full: %w; free some space or choose another folder (nothing half-written was left)", err)
	case errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("file too large for this file system or `ulimit -f`: %w; choose another folder (nothing half-written was left)", err)
	}
	return err
}
