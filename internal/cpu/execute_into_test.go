package cpu_test

import (
	"reflect"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"
)

// reusingExecutable is what executables of backend cpu offer beside backends.Executable.
type reusingExecutable interface {
	backends.Executable
	ExecuteInto(inputs []backends.Buffer, donate []bool, outs []backends.Buffer) error
}

var small = shapes.Make(dtypes.Float32, 64, 64)

// tower squares and squashes x over and over; every stage is a result.
func tower(t *testing.T, b backends.Backend, stages int) reusingExecutable {
	t.Helper()
	builder := b.Builder("tower")
	x, err := builder.Parameter("x", small, nil)
	if err != nil {
		t.Fatal(err)
	}
	var outs []backends.Op
	for range stages {
		y, err := builder.Dot(x, x)
		if err != nil {
			t.Fatal(err)
		}
		if x, err = builder.Tanh(y); err != nil {
			t.Fatal(err)
		}
		outs = append(outs, x)
	}
	exec, err := builder.Compile(outs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return exec.(reusingExecutable)
}

func input(t *testing.T, b backends.Backend) backends.Buffer {
	t.Helper()
	values := make([]float32, small.Size())
	for i := range values {
		values[i] = float32(i%7)/40 - 0.05
	}
	in, err := b.BufferFromFlatData(0, values, small)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func contents(t *testing.T, b backends.Backend, x backends.Buffer) []float32 {
	t.Helper()
	out := make([]float32, small.Size())
	if err := b.BufferToFlatData(x, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestExecuteAllocates nothing but the slice and the handles that the interface makes it return: two allocations, however many
// results there are, and none where the caller brings both.
func TestExecuteAllocates(t *testing.T) {
	b := backend(t, "cpu:threads=2")
	exec := tower(t, b, 10)
	inputs, donate, outs := []backends.Buffer{input(t, b)}, []bool{false}, make([]backends.Buffer, 10)
	for name, c := range map[string]struct {
		most float64
		run  func() ([]backends.Buffer, error)
	}{
		"Execute":     {2, func() ([]backends.Buffer, error) { return exec.Execute(inputs, donate, 0) }},
		"ExecuteInto": {0, func() ([]backends.Buffer, error) { return outs, exec.ExecuteInto(inputs, donate, outs) }},
	} {
		step := func() {
			results, err := c.run()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if err := b.BufferFinalize(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		step()
		if n := testing.AllocsPerRun(20, step); n > c.most {
			t.Errorf("%s: %.0f allocations for %d results, want %.0f", name, n, len(outs), c.most)
		}
	}
}

// TestExecuteIntoReusesHandles: a donated input may come back as a result, many times over, with the bits that Execute gives.
func TestExecuteIntoReusesHandles(t *testing.T) {
	b := backend(t, "cpu:threads=2")
	exec := tower(t, b, 1)
	want, x := input(t, b), input(t, b)
	for range 4 {
		r, err := exec.Execute([]backends.Buffer{want}, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		want = r[0]
		outs := []backends.Buffer{x}
		if err := exec.ExecuteInto([]backends.Buffer{x}, []bool{true}, outs); err != nil {
			t.Fatal(err)
		}
		if outs[0] != x {
			t.Fatal("the handle was not used again")
		}
	}
	if !reflect.DeepEqual(contents(t, b, x), contents(t, b, want)) {
		t.Error("in its own handle the result has other bits")
	}
}

// TestExecuteIntoRefuses places that would lose somebody's values, before anything runs.
func TestExecuteIntoRefuses(t *testing.T) {
	b := backend(t, "cpu")
	exec := tower(t, b, 2)
	x, other, free := input(t, b), input(t, b), input(t, b)
	before := contents(t, b, x)
	if err := b.BufferFinalize(free); err != nil {
		t.Fatal(err)
	}
	for name, outs := range map[string][]backends.Buffer{
		"an input that stays": {x, nil},
		"a buffer in use":     {nil, other},
		"one handle twice":    {free, free},
		"too few places":      {nil},
		"another backend's":   {nil, "buffer"},
	} {
		if err := exec.ExecuteInto([]backends.Buffer{x}, []bool{false}, outs); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if !reflect.DeepEqual(contents(t, b, x), before) || !reflect.DeepEqual(contents(t, b, other), before) {
		t.Error("a refused call changed a buffer")
	}
	if _, err := b.BufferData(free); err == nil {
		t.Error("a refused call made a finalized buffer valid")
	}
}
