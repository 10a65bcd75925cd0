package trm

import "github.com/gomlx/gomlx/pkg/core/graph"

// Prepare compiles the programs of training, and of evaluations of so many rows, that are not compiled yet.
// Steps and evaluations do without it: they compile what they find missing.
func (m *Model) Prepare(evalRows ...int) error {
	type bodyFunc = func(*graph.Graph, paramFunc) ([]string, []*graph.Node)
	build := func(old *program, name string, body bodyFunc, spend func(string) bool) (*program, error) {
		if old != nil {
			return old, nil
		}
		p, err := m.build(name, body, spend)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	var err error
	if m.gradX, err = build(m.gradX, "gradients", m.gradientGraph, nil); err != nil {
		return err
	}
	if !m.cfg.FreezeWeights || m.cfg.PuzzleEmbNDim > 0 {
		if m.applyX, err = build(m.applyX, "apply", m.applyGraph, spentByApply); err != nil {
			return err
		}
	}
	for _, n := range evalRows {
		p, err := build(m.evalX[n], "evaluate", m.evalGraph(n), func(name string) bool { return name == "z_H" || name == "z_L" })
		if err != nil {
			return err
		}
		m.evalX[n] = p
	}
	return nil
}
