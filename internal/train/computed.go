package train

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"trmsweep/internal/backend"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/protocol"
)

// computedKey is where a manifest's Extra has what computed the run so far, as a list of protocol.Part.
const computedKey = "computed"

// computed reads what computed the run up to a checkpoint; nil if the manifest does not say.
func computed(m checkpoint.Meta) ([]protocol.Part, error) {
	raw, ok := m.Extra[computedKey]
	if !ok {
		return nil, nil
	}
	var parts []protocol.Part
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, fmt.Errorf("%s in the manifest: %w", computedKey, err)
	}
	return parts, nil
}

// backendFor names the backend to open. "auto" means for a run with checkpoints the backend that it was computed on:
// it never goes on elsewhere, with other rounding and at another speed, without being told to.
func (r *run) backendFor(there *checkpoint.Manifest) (name string, err error) {
	if there == nil || cmp.Or(r.o.Backend, "auto") != "auto" {
		return r.o.Backend, nil
	}
	parts, err := computed(there.Meta)
	if err != nil {
		return "", fmt.Errorf("run %s: %w", r.o.Run, err)
	}
	if len(parts) == 0 {
		return r.o.Backend, nil
	}
	return parts[len(parts)-1].Backend, nil
}

// unopened explains why the backend that backendFor named is needed. That it is not on
// this host is no final error if nobody named it: another host may have it.
func (r *run) unopened(name string, there *checkpoint.Manifest, err error) error {
	if name == r.o.Backend {
		return err
	}
	if errors.Is(err, backend.ErrUnavailable) {
		err = fmt.Errorf("%w: %w: %v", ErrOtherBackend, backend.ErrOpen, err)
	}
	return fmt.Errorf("run %s was trained on %s up to step %d: %w; name another --backend to go on there, with other rounding",
		r.o.Run, name, there.Step, err)
}

// compute notes what computes from the present step on.
func (r *run) compute() {
	now := protocol.Part{FromStep: r.step, Backend: r.info.Name, Arithmetic: r.info.Arithmetic, Code: r.meta.CodeVersion}
	if n := len(r.parts); n > 0 {
		last := r.parts[n-1]
		if last.FromStep = now.FromStep; last == now {
			return
		}
		if r.parts[n-1].Arithmetic != now.Arithmetic {
			r.o.Logger.Warn("the run goes on with other arithmetic: its end is not bit for bit what either would give alone",
				"step", r.step, "was", r.parts[n-1].Arithmetic, "now", now.Arithmetic)
		}
	}
	r.parts = append(r.parts, now)
}
