package trm

import (
	"context"
	"slices"
	"sync"

	"github.com/gomlx/gomlx/backends"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
)

// recipe is how a program is built, and where the model keeps it.
type recipe struct {
	name    string
	body    graphBody
	donated func(name string) bool
	keep    func(*program)
}

// cachedBackend is a backend that may have a cache of compiled programs.
type cachedBackend interface {
	// CacheOnly returns the backend as one on which a program is loaded from the cache, and is an error if it is not there. Its programs
	// are built from several goroutines at once. It returns nil if there is no cache.
	CacheOnly() backends.Backend
}

// Prepare compiles the programs of training, and of evaluations of so many rows, that are not compiled yet. Those in the backend's cache
// of compiled programs are loaded first, all at once. The others are compiled one after the other, because a compiler uses all cores and
// much memory. Neither can be interrupted: ctx is looked at before the loading and before every compilation. Without Prepare, steps and
// evaluations compile what they need.
func (m *Model) Prepare(ctx context.Context, evalRows ...int) error {
	var training []recipe
	if m.shards[0].gradients == nil {
		training = append(training, m.gradientsRecipe())
	}
	if m.tree.add == nil && m.tree.adds() {
		training = append(training, m.addRecipe())
	}
	if m.apply == nil && !m.nothingToApply() {
		training = append(training, m.applyRecipe())
	}
	return m.prepare(ctx, append(training, m.evalRecipes(evalRows)...))
}

// PrepareEval is Prepare for the programs of evaluations only.
func (m *Model) PrepareEval(ctx context.Context, evalRows ...int) error {
	return m.prepare(ctx, m.evalRecipes(evalRows))
}

func (m *Model) prepare(ctx context.Context, missing []recipe) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for _, r := range m.load(missing) {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := m.compile(r); err != nil {
			return err
		}
	}
	return nil
}

// load loads programs from the backend's cache, all at once, and returns the recipes of those that it could not load. The reason is not
// looked at: if it is a fault, the compilation that follows meets it again.
func (m *Model) load(missing []recipe) (rest []recipe) {
	cached, ok := m.dev.Backend.(cachedBackend)
	if !ok {
		return missing
	}
	loading := m.dev
	if loading.Backend = cached.CacheOnly(); loading.Backend == nil {
		return missing
	}
	loaded := make([]*program, len(missing))
	var all sync.WaitGroup
	for i, r := range missing {
		all.Go(func() { loaded[i], _ = loading.build(r.name, m.arrays, r.body, r.donated) })
	}
	all.Wait()
	for i, r := range missing {
		if loaded[i] == nil {
			rest = append(rest, r)
			continue
		}
		r.keep(loaded[i])
	}
	return rest
}

func (m *Model) compile(r recipe) error {
	p, err := m.dev.build(r.name, m.arrays, r.body, r.donated)
	if err == nil {
		r.keep(p)
	}
	return err
}

// gradientsRecipe donates the memory that the new carry goes to.
func (m *Model) gradientsRecipe() recipe {
	donated := func(name string) bool {
		kind, _ := cutKind(name)
		return kind == "next"
	}
	return recipe{"gradients", m.gradientGraph, donated, m.bindShards}
}

// addRecipe donates both sets of gradients.
func (m *Model) addRecipe() recipe {
	return recipe{"add_gradients", m.addGraph, func(string) bool { return true }, func(p *program) { m.tree.add = p }}
}

// applyRecipe donates everything but the carry and the scalars.
func (m *Model) applyRecipe() recipe {
	donated := func(name string) bool {
		kind, _ := cutKind(name)
		return kind != "carry" && kind != "scalar"
	}
	return recipe{"apply", m.applyGraph, donated, func(p *program) { m.apply = p }}
}

// evalRecipe donates the recursive state. n is the number of rows.
func (m *Model) evalRecipe(n int) recipe {
	donated := func(name string) bool { return name == "z_H" || name == "z_L" }
	body := func(_ *Graph, param paramFunc) ([]string, []*Node) { return m.evalGraph(n, param) }
	return recipe{"evaluate", body, donated, func(p *program) { m.evals[n] = p }}
}

// evalRecipes are those of the evaluations of so many rows that are not compiled yet.
func (m *Model) evalRecipes(rows []int) (missing []recipe) {
	for _, n := range slices.Compact(slices.Sorted(slices.Values(rows))) {
		if m.evals[n] == nil {
			missing = append(missing, m.evalRecipe(n))
		}
	}
	return missing
}

// nothingToApply reports whether neither weights nor a puzzle embedding are trained.
func (m *Model) nothingToApply() bool { return m.cfg.FreezeWeights && m.cfg.PuzzleEmbNDim == 0 }
