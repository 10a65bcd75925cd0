package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

// "auto" keeps a run on the backend that it was begun on, another one is taken when it is named, and the result tells of both.
func TestAutoKeepsTheRunsBackend(t *testing.T) {
	b := mem.New(nil)
	for _, c := range []struct {
		ask, got string
		to       int64
	}{{"go", "go", 4}, {"auto", "go", 8}, {"cpu", "cpu", 12}, {"", "cpu", 24}} {
		a := attempt(t, b, tiny(t), func(o *Options) { o.Backend, o.MaxSteps = c.ask, c.to })
		if a.err != nil || a.res.Backend != c.got {
			t.Fatalf("asked for %q up to step %d: trained on %q, %v; want %q", c.ask, c.to, a.res.Backend, a.err, c.got)
		}
	}
	text, _, err := blob.ReadAll(t.Context(), b, "runs/r/"+layout.ResultFile, 0)
	if err != nil {
		t.Fatal(err)
	}
	res, err := protocol.DecodeResult(text)
	if err != nil {
		t.Fatal(err)
	}
	var from []int64
	for _, p := range res.Computed {
		from = append(from, p.FromStep)
	}
	if !slices.Equal(from, []int64{0, 8}) || !strings.HasPrefix(res.Computed[0].Arithmetic, "go ") ||
		!strings.HasPrefix(res.Computed[1].Arithmetic, "cpu ") {
		t.Errorf("computed by %+v", res.Computed)
	}
}

// A run from an accelerator that is not here is left where it is, and another host may still go on with it.
func TestAutoDoesNotLeaveTheAccelerator(t *testing.T) {
	raw, err := json.Marshal([]protocol.Part{{Backend: "go"}, {FromStep: 5, Backend: "xla:tpu"}})
	if err != nil {
		t.Fatal(err)
	}
	there := &checkpoint.Manifest{Step: 7, Meta: checkpoint.Meta{Extra: map[string]json.RawMessage{computedKey: raw}}}
	r := &run{o: Options{Run: "r", Backend: "auto"}}
	name, err := r.backendFor(there)
	if name != "xla:tpu" || err != nil {
		t.Fatalf("%q, %v", name, err)
	}
	err = r.unopened(name, there, fmt.Errorf("%w: no plugin", backend.ErrUnavailable))
	if !errors.Is(err, backend.ErrOpen) || IsUserError(err) || !strings.Contains(err.Error(), "run r was trained on xla:tpu up to step 7") ||
		!strings.Contains(err.Error(), "--backend") {
		t.Error(err)
	}
	r.o.Backend = "xla:tpu"
	if err := r.unopened("xla:tpu", there, backend.ErrUnavailable); !IsUserError(err) {
		t.Errorf("named and not here: %v", err)
	}
	there.Meta.Extra[computedKey] = json.RawMessage(`{}`)
	r.o.Backend = "auto"
	if _, err := r.backendFor(there); err == nil || !strings.Contains(err.Error(), "computed in the manifest") {
		t.Error(err)
	}
}
