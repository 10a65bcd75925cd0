package trm

import (
	"errors"
	"fmt"
	"math"
	//nolint:staticcheck // graphs read as formulas
)

// Apply updates the puzzle embedding (SignSGD), the parameters (AdamATan2) and the EMA from the gradients, in the memory of the old
// values. After an error of the backend the state is gone and Load comes next.
func (m *Model) Apply(step int64, lr, puzzleLR float64) error {
	if m.nothingToApply() {
		return nil
	}
	if !m.hasGradients {
		return errors.New("apply: no gradients; Gradients comes first")
	}
	if step < 1 {
		return fmt.Errorf("apply: step %d; steps count from 1", step)
	}
	if m.apply == nil {
		if err := m.compile(m.applyRecipe()); err != nil {
			return err
		}
	}
	if err := m.feedRates(step, lr, puzzleLR); err != nil {
		return err
	}
	m.hasGradients = false
	if err := m.dev.run(m.apply); err != nil {
		m.loaded = false
		m.dropGradients()
		m.dropState()
		return err
	}
	return nil
}

// feedRates gives the apply program its scalars.
func (m *Model) feedRates(step int64, lr, puzzleLR float64) error {
	c := m.cfg
	for _, a := range m.apply.inputs {
		switch a.name {
		case "scalar/keep":
			m.scalar[0] = float32(1 - lr*c.WeightDecay)
		case "scalar/rate":
			m.scalar[0] = float32(lr / (1 - math.Pow(c.Beta1, float64(step))))
		case "scalar/root2":
			m.scalar[0] = float32(math.Sqrt(1 - math.Pow(c.Beta2, float64(step))))
		case "scalar/puzzle_keep":
			m.scalar[0] = float32(1 - puzzleLR*c.PuzzleEmbWeightDecay)
		case "scalar/puzzle_lr":
			m.scalar[0] = float32(puzzleLR)
		default:
			continue
		}
		if err := feed(m.dev, a, m.scalar); err != nil {
			return fmt.Errorf("feed %s: %w", a.name, err)
		}
	}
	return nil
}
