package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"trmsweep/internal/sudoku"
)

// splitWriter writes one split: groups are numbered as they are added, encoded and
// written at their place by workers, so that the bytes depend on the order only.
type splitWriter struct {
	dir     string
	numAug  int
	wide    bool // int64
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
	first int // group
	rows  []row
}

// chunkBytes is about how much a worker encodes before it writes.
const chunkBytes = 1 << 20

func newSplitWriter(dir string, o Options, numAug int) (*splitWriter, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, diskError(err)
	}
	w := &splitWriter{dir: dir, numAug: numAug, wide: numAug > 0 && !o.Compact, seed: uint64(o.Seed), ratings: map[int]int{}, clues: map[int]int{}}
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
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *splitWriter) worker() {
	var in, lab []byte
	for c := range w.work {
		in, lab = in[:0], lab[:0]
		for i := range c.rows {
			in, lab = w.encode(in, lab, &c.rows[i])
			if len(in) >= chunkBytes || i == len(c.rows)-1 {
				end := int64(npyHeaderLen) + int64(c.first+i+1)*int64(w.rowsPerGroup()*81*w.elem())
				_, err := w.inputs.WriteAt(in, end-int64(len(in)))
				if err == nil {
					_, err = w.labels.WriteAt(lab, end-int64(len(lab)))
				}
				if err != nil {
					w.mu.Lock()
					w.err = diskError(err)
					w.mu.Unlock()
				}
				in, lab = in[:0], lab[:0]
			}
		}
	}
}

// encode appends a group: the puzzle itself, then its augmentations, whose draws
// are keyed by seed, row of the source and number.
func (w *splitWriter) encode(in, lab []byte, p *row) ([]byte, []byte) {
	for aug := range w.rowsPerGroup() {
		src, digits := identityMap, identityDigits
		if aug > 0 {
			r := sudoku.NewRand(w.seed, uint64(p.index), uint64(aug))
			t := sudoku.RandomTransform(&r)
			src, digits = t.Source(), t.Digits
		}
		if !w.wide {
			for _, s := range src {
				in = append(in, digits[p.Question[s]]+1)
				lab = append(lab, digits[p.Answer[s]]+1)
			}
			continue
		}
		for _, s := range src {
			in = binary.LittleEndian.AppendUint64(in, uint64(digits[p.Question[s]]+1))
			lab = binary.LittleEndian.AppendUint64(lab, uint64(digits[p.Answer[s]]+1))
		}
	}
	return in, lab
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

// stop ends the workers and closes the files; finish does it for a good split.
func (w *splitWriter) stop() error {
	if len(w.pending.rows) > 0 {
		w.work <- w.pending
		w.pending = chunk{}
	}
	close(w.work)
	w.wg.Wait()
	return w.err
}

func (w *splitWriter) abandon() {
	w.pending = chunk{}
	_ = w.stop()
	w.inputs.Close()
	w.labels.Close()
}

// finish writes headers, indices and dataset.json, and syncs.
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
		err = writeInt32(filepath.Join(w.dir, "all__puzzle_identifiers.npy"), n, func(int) int32 { return 0 })
	}
	if err == nil {
		err = writeInt32(filepath.Join(w.dir, "all__puzzle_indices.npy"), n+1, func(i int) int32 { return int32(i) })
	}
	if err == nil {
		err = writeInt32(filepath.Join(w.dir, "all__group_indices.npy"), w.groups+1, func(i int) int32 { return int32(i * w.rowsPerGroup()) })
	}
	if err == nil {
		// Byte for byte what the reference writes: total_puzzles counts groups, no final newline.
		meta := fmt.Sprintf(`{"pad_id": 0, "ignore_label_id": 0, "blank_identifier_id": 0, "vocab_size": 11, "seq_len": 81, "num_puzzle_identifiers": 1, "total_groups": %d, "mean_puzzle_examples": 1.0, "total_puzzles": %d, "sets": ["all"]}`, w.groups, w.groups)
		err = os.WriteFile(filepath.Join(w.dir, "dataset.json"), []byte(meta), 0o644)
	}
	return diskError(err)
}

// diskError says what to do about a full disk.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("disk full: %w; free some space or choose another folder (nothing half-written was left)", err)
	}
	return err
}
