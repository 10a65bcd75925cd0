package train

import (
	"trmsweep/internal/dataset"
)

// fed is one step's input, made beside training.
type fed struct {
	batch    *dataset.Batch
	minSteps []int32
	err      error
	release  func() // hands the buffers back
}

// feed prepares the batches of the steps after `from` up to `to` on a goroutine
// of its own, two ahead at most, in reused buffers. The returned function ends it
// and waits, so that the dataset can be unmapped afterwards.
func (r *run) feed(from, to int64) (<-chan fed, func()) {
	const ahead = 2
	out := make(chan fed, ahead)
	free := make(chan fed, ahead+2)
	for range cap(free) {
		free <- fed{batch: new(dataset.Batch), minSteps: make([]int32, r.spec.GlobalBatchSize)}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(out)
		for step := from + 1; step <= to; step++ {
			var f fed
			select {
			case f = <-free:
			case <-quit:
				return
			}
			batch := step - 1
			if r.o.sameBatch {
				batch = 0
			}
			f.err = r.sampler.Batch(batch, 0, 1, f.batch)
			explore(f.minSteps, uint64(r.spec.Seed), step, r.spec.HaltExplorationProb, r.spec.HaltMaxSteps)
			f.release = func() { free <- f }
			select {
			case out <- f:
			case <-quit:
				return
			}
			if f.err != nil {
				return
			}
		}
	}()
	return out, func() {
		close(quit)
		<-ended
	}
}
