package trm

import (
	"context"

	"github.com/gomlx/gomlx/pkg/core/graph"
)

// Prepare compiles the programs of training, and of evaluations of so many rows, that are not compiled yet. A compilation
// cannot be ended: ctx is looked at between programs. Steps and evaluations do without Prepare: they compile what they find missing.
func (m *Model) Prepare(ctx context.Context, evalRows ...int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := m.gradientProgram(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !m.nothingToApply() {
		if err := m.applyProgram(); err != nil {
			return err
		}
	}
	return m.PrepareEval(ctx, evalRows...)
}

// PrepareEval compiles the programs of evaluations only.
func (m *Model) PrepareEval(ctx context.Context, evalRows ...int) error {
	for _, n := range evalRows {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := m.evalProgram(n); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) gradientProgram() error {
	return m.once(&m.gradX, "gradients", m.gradientGraph, spentByGradients)
}

func (m *Model) applyProgram() error { return m.once(&m.applyX, "apply", m.applyGraph, spentByApply) }

func (m *Model) evalProgram(n int) (*program, error) {
	p := m.evalX[n]
	err := m.once(&p, "evaluate", m.evalGraph(n), spentByEval)
	if err == nil {
		m.evalX[n] = p
	}
	return p, err
}

// nothingToApply: neither weights nor a puzzle embedding are trained.
func (m *Model) nothingToApply() bool { return m.cfg.FreezeWeights && m.cfg.PuzzleEmbNDim == 0 }

// once builds the program where there is none.
func (m *Model) once(p **program, name string, body func(*graph.Graph, paramFunc) ([]string, []*graph.Node),
	spend func(string) bool) error {
	if *p != nil {
		return nil
	}
	built, err := m.build(name, body, spend)
	if err == nil {
		*p = built
	}
	return err
}
