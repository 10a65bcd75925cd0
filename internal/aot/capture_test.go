//go:build cgo && linux

package aot

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// twice compiles a graph of that name that doubles its input.
func twice(b backends.Backend, name string) {
	g := NewGraph(b, name)
	x := Parameter(g, "x", shapes.Make(dtypes.Float32, 3))
	g.Compile(MulScalar(x, 2))
}

func TestCaptureKeepsWhatIsCompiled(t *testing.T) {
	take := func() []Program {
		programs, err := Capture(func(b backends.Backend) error {
			twice(b, "first")
			twice(b, "second")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return programs
	}
	a, b := take(), take()
	if len(a) != 2 || len(b) != 2 {
		t.Fatalf("%d and %d programs, want 2 of each capture", len(a), len(b))
	}
	for i, name := range []string{"first", "second"} {
		p := a[i]
		if p.Format != "mlir" || len(p.Options) == 0 || !strings.HasPrefix(string(p.Code), "module @"+name) {
			t.Errorf("program %d: format %q, %d bytes of options, code %.40q", i, p.Format, len(p.Options), p.Code)
		}
		if !bytes.Equal(p.Code, b[i].Code) || !bytes.Equal(p.Options, b[i].Options) || p.Key() != b[i].Key() {
			t.Errorf("program %d is another one the second time", i)
		}
	}
	if a[0].Key() == a[1].Key() {
		t.Error("two programs have one key")
	}
}

// TestCaptureAnswersWithErrors: what the plugin cannot do is an error, not a crash, and a failed capture leaves nothing to the next.
func TestCaptureAnswersWithErrors(t *testing.T) {
	mine := errors.New("mine")
	_, err := Capture(func(b backends.Backend) error {
		twice(b, "left over")
		_, err := b.BufferFromFlatData(0, []float32{1, 2, 3}, shapes.Make(dtypes.Float32, 3))
		if err == nil || !strings.Contains(err.Error(), "only keeps programs") {
			t.Errorf("a buffer: %v", err)
		}
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("error %v, want that of the caller", err)
	}
	programs, err := Capture(func(backends.Backend) error { return nil })
	if err != nil || len(programs) != 0 {
		t.Errorf("%d programs of an empty capture, %v", len(programs), err)
	}
}
