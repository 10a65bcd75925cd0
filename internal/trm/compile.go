package trm

import (
	"context"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
)

// Prepare compiles the programs of training, and of evaluations of so many rows, that are not compiled yet. A compilation cannot be
// interrupted: ctx is looked at between programs. Without Prepare, steps and evaluations compile what they need.
func (m *Model) Prepare(ctx context.Context, evalRows ...int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := m.compileGradients(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !m.nothingToApply() {
		if err := m.compileApply(); err != nil {
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
		if _, err := m.compileEval(n); err != nil {
			return err
		}
	}
	return nil
}

// compileGradients donates the memory that the new carry goes to.
func (m *Model) compileGradients() error {
	donated := func(name string) bool {
		kind, _ := cutKind(name)
		return kind == "next"
	}
	return m.compileOnce(&m.gradients, "gradients", m.gradientGraph, donated)
}

// compileApply donates everything but the carry and the scalars.
func (m *Model) compileApply() error {
	donated := func(name string) bool {
		kind, _ := cutKind(name)
		return kind != "carry" && kind != "scalar"
	}
	return m.compileOnce(&m.apply, "apply", m.applyGraph, donated)
}

// compileEval donates the recursive state. n is the number of rows.
func (m *Model) compileEval(n int) (*program, error) {
	donated := func(name string) bool { return name == "z_H" || name == "z_L" }
	body := func(_ *Graph, param paramFunc) ([]string, []*Node) { return m.evalGraph(n, param) }
	p := m.evals[n]
	err := m.compileOnce(&p, "evaluate", body, donated)
	if err == nil {
		m.evals[n] = p
	}
	return p, err
}

// nothingToApply reports whether neither weights nor a puzzle embedding are trained.
func (m *Model) nothingToApply() bool { return m.cfg.FreezeWeights && m.cfg.PuzzleEmbNDim == 0 }

// compileOnce builds a program that is nil.
func (m *Model) compileOnce(p **program, name string, body graphBody, donated func(string) bool) error {
	if *p != nil {
		return nil
	}
	built, err := m.dev.build(name, m.arrays, body, donated)
	if err == nil {
		*p = built
	}
	return err
}
