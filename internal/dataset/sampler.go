package dataset

import (
	"sync"

	"trmsweep/internal/sudoku"
)

// Batch holds the rows of a global batch that one rank trains on, B of them.
type Batch struct {
	Inputs, Labels []uint8 // [B*81], see Set.Row
	PuzzleIDs      []int32 // [B]
	Rows           []int64 // [B] row numbers in the set
	Groups         []int32 // [B] group numbers in the set
}

func (b *Batch) resize(n int) {
	if cap(b.PuzzleIDs) < n || cap(b.Inputs) < 81*n {
		*b = Batch{make([]uint8, 81*n), make([]uint8, 81*n), make([]int32, n), make([]int64, n), make([]int32, n)}
	}
	b.Inputs, b.Labels = b.Inputs[:81*n], b.Labels[:81*n]
	b.PuzzleIDs, b.Rows, b.Groups = b.PuzzleIDs[:n], b.Rows[:n], b.Groups[:n]
}

// Sampler makes training batches. An iteration consists of several shuffled passes over
// the groups, in which each group yields one row drawn at random. Its rows are cut into
// global batches; an incomplete last batch is dropped, as in the reference implementation.
// A Sampler is safe for concurrent use.
type Sampler struct {
	set           *Set
	seed          uint64
	batch, epochs int

	packed []byte // rows as bytes, see Set.compact

	mu   sync.Mutex // protects pass
	pass pass       // the pass that was used last; the next batch mostly needs the same one
}

type pass struct {
	number int64 // counts from 1 over all iterations
	order  []int32
}

// NewSampler returns a Sampler, or ErrInput if an iteration is shorter than one batch. It
// makes the compact copy of the set if there is none yet (see compactFile).
func NewSampler(set *Set, seed uint64, globalBatch, epochsPerIteration int) (*Sampler, error) {
	if globalBatch < 1 || epochsPerIteration < 1 {
		return nil, inputf("a global batch of %d and %d epochs per iteration, both must be at least 1", globalBatch, epochsPerIteration)
	}
	s := &Sampler{set: set, seed: seed, batch: globalBatch, epochs: epochsPerIteration}
	if s.StepsPerIteration() < 1 {
		return nil, inputf("%d epochs of %d puzzles are fewer than one batch of %d; lower global_batch_size or raise eval_interval_epochs",
			epochsPerIteration, set.Groups(), globalBatch)
	}
	var err error
	if s.packed, err = set.compact(); err != nil {
		return nil, err
	}
	return s, nil
}

// StepsPerIteration returns floor(epochs * groups / global batch).
func (s *Sampler) StepsPerIteration() int64 {
	return int64(s.epochs) * int64(s.set.Groups()) / int64(s.batch)
}

// Batch fills b with the rows of one of world ranks at a step (counted from 0): rows
// rank*B/world to (rank+1)*B/world of the global batch of B rows, which depends on nothing
// but seed and step.
func (s *Sampler) Batch(step int64, rank, world int, b *Batch) error {
	if step < 0 || world < 1 || rank < 0 || rank >= world {
		return inputf("step %d of rank %d in a world of %d", step, rank, world)
	}
	if s.batch%world != 0 {
		return inputf("a global batch of %d cannot be divided among %d ranks", s.batch, world)
	}
	b.resize(s.batch / world)
	s.draw(step, rank, b)
	if s.packed == nil {
		for i, row := range b.Rows {
			b.PuzzleIDs[i] = s.set.Row(int(row), b.Inputs[81*i:81*i+81], b.Labels[81*i:81*i+81])
		}
		return nil
	}
	s.touch(b)
	for i, row := range b.Rows {
		from := s.packed[compactRow*row : compactRow*row+compactRow]
		copy(b.Inputs[81*i:81*i+81], from[:81])
		copy(b.Labels[81*i:81*i+81], from[81:])
		b.PuzzleIDs[i] = s.set.id(int(row))
	}
	return nil
}

// touch loads every cache line of the rows. These loads wait for memory together, whereas
// copies would wait one after the other.
func (s *Sampler) touch(b *Batch) {
	var x uint8
	for _, row := range b.Rows {
		from := (*[compactRow]uint8)(s.packed[compactRow*row:])
		x ^= from[0] ^ from[64] ^ from[128] ^ from[161]
	}
	if len(b.Inputs) > 0 {
		b.Inputs[0] = x // keeps the compiler from removing the loads
	}
}

// draw computes the rows of the batch and their groups.
func (s *Sampler) draw(step int64, rank int, b *Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(b.Rows)
	iteration, inside := step/s.StepsPerIteration(), step%s.StepsPerIteration()
	at := inside*int64(s.batch) + int64(rank*n)
	groups := int64(s.set.Groups())
	for i := 0; i < n; {
		number := iteration*int64(s.epochs) + at/groups
		order := s.order(number)
		key := sudoku.NewKey(s.seed, 2, uint64(number))
		for _, g := range order[at%groups:] {
			if i == n {
				break
			}
			from, to := s.set.Group(int(g))
			r := key.Rand(uint64(g))
			b.Groups[i], b.Rows[i] = g, int64(from+r.Intn(to-from))
			i++
		}
		at += groups - at%groups
	}
}

// order returns the shuffled order of groups in one pass.
func (s *Sampler) order(number int64) []int32 {
	p := &s.pass
	if p.number == number+1 {
		return p.order
	}
	if p.order == nil {
		p.order = make([]int32, s.set.Groups())
	}
	for i := range p.order {
		p.order[i] = int32(i)
	}
	r := sudoku.NewRand(s.seed, 1, uint64(number))
	sudoku.Shuffle(&r, p.order)
	p.number = number + 1
	return p.order
}
