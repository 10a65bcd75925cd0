package trm

import (
	"fmt"
	"slices"
	"unsafe"

	"trmsweep/internal/tensor"
)

// SnapshotInto is Snapshot into the memory of an earlier one, which it changes
// and returns: fresh memory of the state's size costs several times the copy.
// Arrays that do not fit, or share their memory as those of InitState do, are
// replaced; nil is allowed.
func (m *Model) SnapshotInto(old tensor.State) (tensor.State, error) {
	if len(m.state) == 0 {
		return nil, errNoState
	}
	out := make(tensor.State, len(m.state))
	taken := map[*byte]bool{}
	for name, t := range m.state {
		a := old[name]
		if dims := t.Shape().Dimensions; toGoMLX[a.DType] != t.Shape().DType || !slices.Equal(a.Shape, dims) || a.Check() != nil || taken[unsafe.SliceData(a.Data)] {
			fresh, err := toHost(t)
			if err != nil {
				return nil, fmt.Errorf("copy %q to the host: %w", name, err)
			}
			out[name] = fresh
			continue
		}
		if err := t.ConstBytes(func(data []byte) { copy(a.Data, data) }); err != nil {
			return nil, fmt.Errorf("copy %q to the host: %w", name, err)
		}
		taken[unsafe.SliceData(a.Data)] = true
		out[name] = a
	}
	return out, nil
}
