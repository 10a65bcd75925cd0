package trm

import (
	"slices"
	"unsafe"

	"trmsweep/internal/tensor"
)

// Snapshot is a copy of the whole state.
func (m *Model) Snapshot() (tensor.State, error) { return m.SnapshotInto(nil) }

// SnapshotInto is Snapshot into the memory of an earlier one, because fresh memory of the state's size costs several times the copy. It
// replaces arrays that do not fit or that share their memory, as those of InitState do. old may be nil.
func (m *Model) SnapshotInto(old tensor.State) (tensor.State, error) {
	if !m.loaded {
		return nil, errNoState
	}
	out := make(tensor.State, len(m.state))
	taken := map[*byte]bool{}
	for i, v := range m.vars {
		a := old[v.name]
		if a.DType != v.dtype || !slices.Equal(a.Shape, v.shape) || a.Check() != nil || taken[unsafe.SliceData(a.Data)] {
			a = zeros(v.dtype, v.shape...)
		}
		if err := m.readVariable(m.state[i], a.Data); err != nil {
			return nil, err
		}
		taken[unsafe.SliceData(a.Data)] = true
		out[v.name] = a
	}
	return out, nil
}

// readVariable copies the rows of every part of an array.
func (m *Model) readVariable(parts []*deviceBuffer, to []byte) error {
	n := len(to) / len(parts)
	for k, a := range parts {
		if err := m.dev.read(a, to[k*n:(k+1)*n]); err != nil {
			return err
		}
	}
	return nil
}
