package cpu

// step is one entry of a schedule. In the schedule of a tiled group run computes one tile and is given the worker of its thread; elsewhere
// it computes the whole value, and both arguments are zero.
type step struct {
	n   *node // for messages
	run func(w *worker, tile int)
}

// tileLoop is the schedule of a tiled group. Its steps run tile by tile.
type tileLoop struct {
	steps   []step
	workers *workerPool
	sizes   *workerSizes
}

// Run implements kernel.Job; the range counts tiles.
func (j *tileLoop) Run(lo, hi int) {
	w := j.workers.get(j.sizes)
	for tile := lo; tile < hi; tile++ {
		for i := range j.steps {
			j.steps[i].run(w, tile)
		}
	}
	j.workers.put(w)
}
