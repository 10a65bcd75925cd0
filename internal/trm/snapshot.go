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
			fresh, err := m.dev.toHost(m.state[i])
			if err != nil {
				return nil, err
			}
			out[v.name] = fresh
			continue
		}
		if err := m.dev.read(m.state[i], a.Data); err != nil {
			return nil, err
		}
		taken[unsafe.SliceData(a.Data)] = true
		out[v.name] = a
	}
	return out, nil
}
