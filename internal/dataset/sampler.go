package dataset

import (
	"sync"

	"trmsweep/internal/sudoku"
)

// Batch is one rank's part of a global batch of B rows.
type Batch struct {
	Inputs, Labels []uint8 // [B*81], see Set.Row
	PuzzleIDs      []int32 // [B]
	Rows           []int64 // [B] row of the set
	Groups         []int32 // [B] group of the set
}

func (b *Batch) resize(n int) {
	if cap(b.PuzzleIDs) < n || cap(b.Inputs) < 81*n {
		*b = Batch{make([]uint8, 81*n), make([]uint8, 81*n), make([]int32, n), make([]int64, n), make([]int32, n)}
	}
	b.Inputs, b.Labels = b.Inputs[:81*n], b.Labels[:81*n]
	b.PuzzleIDs, b.Rows, b.Groups = b.PuzzleIDs[:n], b.Rows[:n], b.Groups[:n]
}

// Sampler makes training batches. An iteration is a number of shuffled passes over
// the groups, one drawn row per group and pass, cut into global batches; the
// incomplete last one is dropped, as in the reference. It is safe for concurrent use.
type Sampler struct {
	set           *Set
	seed          uint64
	batch, epochs int

	packed []byte // see Set.compact

	mu   sync.Mutex // of pass
	pass pass       // the last one used: the next batch mostly goes on in it
}

type pass struct {
	number int64 // counted from 1 over all iterations
	order  []int32
}

// NewSampler checks that an iteration has at least one batch. It makes the compact
// copy of the set beside it, where there is none yet (see compactFile).
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

// StepsPerIteration is floor(epochs * groups / global batch).
func (s *Sampler) StepsPerIteration() int64 {
	return int64(s.epochs) * int64(s.set.Groups()) / int64(s.batch)
}

// Batch fills b with what rank of world gets at step (counted from 0): rows
// rank*B/world up to (rank+1)*B/world of the global batch, which depends on seed and step alone.
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

// touch loads every cache line of the rows: such loads wait for memory together,
// where copies wait one after the other.
func (s *Sampler) touch(b *Batch) {
	var x uint8
	for _, row := range b.Rows {
		from := (*[compactRow]uint8)(s.packed[compactRow*row:])
		x ^= from[0] ^ from[64] ^ from[128] ^ from[161]
	}
	if len(b.Inputs) > 0 {
		b.Inputs[0] = x // so that the loads are not optimized away
	}
}

// draw fills in the rows of the set, and their groups.
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

// order is the shuffled order of groups in one pass.
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
