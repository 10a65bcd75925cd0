package trm

import (
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/backend"
)

// remote is backend cpu made to look like an accelerator: no shared memory, no donation, and every buffer is counted.
type remote struct {
	backends.Backend
	t    *testing.T
	live int
}

func (r *remote) Name() string { return "remote" }

func (r *remote) Builder(name string) backends.Builder {
	return remoteBuilder{r.Backend.Builder(name), r}
}

func (r *remote) BufferFromFlatData(dev backends.DeviceNum, flat any, shape shapes.Shape) (backends.Buffer, error) {
	r.live++
	return r.Backend.BufferFromFlatData(dev, flat, shape)
}

func (r *remote) BufferFinalize(b backends.Buffer) error {
	r.live--
	err := r.Backend.BufferFinalize(b)
	if err != nil {
		r.t.Error(err)
	}
	return err
}

func (r *remote) HasSharedBuffers() bool { return false }

func (r *remote) NewSharedBuffer(backends.DeviceNum, shapes.Shape) (backends.Buffer, any, error) {
	panic("memory shared with an accelerator")
}

func (r *remote) BufferData(backends.Buffer) (any, error) { panic("memory of an accelerator") }

type remoteBuilder struct {
	backends.Builder
	r *remote
}

func (b remoteBuilder) Compile(outs []backends.Op, s []*backends.ShardingSpec) (backends.Executable, error) {
	x, err := b.Builder.Compile(outs, s)
	return remoteExecutable{x, b.r}, err
}

type remoteExecutable struct {
	backends.Executable
	r *remote
}

func (x remoteExecutable) Execute(in []backends.Buffer, donate []bool, dev backends.DeviceNum) ([]backends.Buffer, error) {
	if donate != nil {
		x.r.t.Error("a buffer is donated")
	}
	out, err := x.Executable.Execute(in, nil, dev)
	x.r.live += len(out)
	return out, err
}

// TestRemoteBackend trains, evaluates, saves and loads on a backend with memory of its own: the bits are those of the backend
// behind it, and no buffer waits for the garbage collector.
func TestRemoteBackend(t *testing.T) {
	c := tinyConfig()
	be, _, err := backend.New("cpu", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Finalize()
	train := func(be backends.Backend, between func(step int, m *Model)) string {
		m := freshModel(t, be, c)
		defer m.Close()
		in := tinyBatch(c)
		in.LR, in.PuzzleEmbLR = 3e-3, 3e-3
		for s := range 5 {
			in.Step = int64(s + 1)
			if _, err := m.Step(in); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Eval(in.Inputs, in.Labels, in.PuzzleIDs); err != nil {
				t.Fatal(err)
			}
			between(s, m)
		}
		return mustSnapshot(t, m).SHA256()
	}
	want := train(be, func(int, *Model) {})
	far := &remote{Backend: be, t: t}
	var live []int
	got := train(far, func(_ int, m *Model) {
		if err := m.Load(mustSnapshot(t, m)); err != nil {
			t.Fatal(err)
		}
		live = append(live, far.live)
	})
	if got != want {
		t.Error("the state is another than that of the backend itself")
	}
	if live[4] != live[1] {
		t.Errorf("buffers in use after each step: %v", live)
	}
	if far.live != 0 {
		t.Errorf("%d buffers are left after Close", far.live)
	}
}
