package trm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"trmsweep/internal/backend/backendtest"
)

// remote is backend cpu made to look like an accelerator: no shared memory, and every buffer is counted. Donations are refused, or
// with aliases taken as XLA takes them: by the execution, and never to be finalized again.
type remote struct {
	backends.Backend
	t       *testing.T
	live    int
	sent    int   // buffers from the host
	read    []int // bytes of every copy to the host
	aliases bool
	aliased map[string][][2]int // by program
	fail    string              // the program whose next execution fails after it took its donations
}

func (r *remote) Name() string { return "remote" }

func (r *remote) Builder(name string) backends.Builder {
	b := remoteBuilder{r.Backend.Builder(name), r}
	if r.aliases {
		return aliasingBuilder{b}
	}
	return b
}

type aliasingBuilder struct{ remoteBuilder }

func (b aliasingBuilder) Alias(parameter, result int) {
	b.r.aliased[b.Name()] = append(b.r.aliased[b.Name()], [2]int{parameter, result})
}

func (r *remote) BufferFromFlatData(dev backends.DeviceNum, flat any, shape shapes.Shape) (backends.Buffer, error) {
	r.live++
	r.sent++
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

func (r *remote) BufferToFlatData(b backends.Buffer, flat any) error {
	shape, err := r.Backend.BufferShape(b)
	if err != nil {
		return err
	}
	r.read = append(r.read, int(shape.Memory()))
	return r.Backend.BufferToFlatData(b, flat)
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
	return remoteExecutable{x, b.r, b.Name()}, err
}

type remoteExecutable struct {
	backends.Executable
	r    *remote
	name string
}

func (x remoteExecutable) Execute(in []backends.Buffer, donate []bool, dev backends.DeviceNum) ([]backends.Buffer, error) {
	if donate != nil && !x.r.aliases {
		x.r.t.Error("a buffer is donated")
	}
	if x.r.fail == x.name {
		x.r.fail = ""
		return nil, errors.New("the device is gone")
	}
	out, err := x.Executable.Execute(in, nil, dev)
	x.r.live += len(out)
	for i, yes := range donate {
		if yes {
			x.r.live--
			if err := x.r.Backend.BufferFinalize(in[i]); err != nil {
				x.r.t.Error(err)
			}
		}
	}
	return out, err
}

// TestRemoteBackend trains, evaluates, saves and loads on a backend with memory of its own: the bits are those of the backend
// behind it, and no buffer waits for the garbage collector.
func TestRemoteBackend(t *testing.T) {
	for _, aliases := range []bool{false, true} {
		for _, shards := range []int{1, 4} {
			t.Run(fmt.Sprintf("aliases=%v shards=%d", aliases, shards), func(t *testing.T) { remoteBackend(t, aliases, shards) })
		}
	}
}

func remoteBackend(t *testing.T, aliases bool, shards int) {
	c := tinyConfig()
	c.BatchSize, c.GlobalBatchSize, c.Shards = 4, 4, shards
	be := backendtest.Open(t, "cpu")
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
	far := &remote{Backend: be, t: t, aliases: aliases, aliased: map[string][][2]int{}}
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

// TestDonation: weights, moments, EMA, puzzle embedding, carry and the state of an evaluation are computed in the memory of what they
// replace. A step that fails leaves the state, though its donations are gone; an optimizer step that fails does not.
func TestDonation(t *testing.T) {
	c := tinyConfig()
	far := &remote{Backend: backendtest.Open(t, "cpu"), t: t, aliases: true, aliased: map[string][][2]int{}}
	m := freshModel(t, far, c)
	defer m.Close()
	in := tinyBatch(c)
	in.LR, in.PuzzleEmbLR = 3e-3, 3e-3
	step := func() error {
		in.Step++
		_, err := m.Step(in)
		return err
	}
	if err := step(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Eval(in.Inputs, in.Labels, in.PuzzleIDs); err != nil {
		t.Fatal(err)
	}
	inPlace := map[string]int{"gradients": len(m.shards[0].carries), "apply": 4*len(c.Params()) + 1, "evaluate": 2}
	for _, p := range []*program{m.shards[0].gradients, m.apply, m.evals[c.BatchSize]} {
		pairs := far.aliased[p.g.Name()]
		for _, pair := range pairs {
			if in, out := p.inputs[pair[0]], p.outputs[pair[1]]; in != out {
				t.Errorf("%s: %s takes the memory of %s", p.g.Name(), out.name, in.name)
			}
		}
		if len(pairs) != inPlace[p.g.Name()] {
			t.Errorf("%s: %d results in the memory of inputs, want %d", p.g.Name(), len(pairs), inPlace[p.g.Name()])
		}
	}

	before := mustSnapshot(t, m).SHA256()
	far.fail = "gradients"
	if err := step(); err == nil {
		t.Fatal("a step on a device that is gone succeeds")
	}
	if mustSnapshot(t, m).SHA256() != before {
		t.Error("a step that failed changed the state")
	}
	if err := step(); err != nil {
		t.Errorf("the step after one that failed: %v", err)
	}
	far.fail = "apply"
	if err := step(); err == nil {
		t.Fatal("an optimizer step on a device that is gone succeeds")
	}
	if _, err := m.Snapshot(); !errors.Is(err, errNoState) {
		t.Errorf("after an optimizer step that failed: %v, want no state", err)
	}
	if err := m.Load(m.InitState(1)); err != nil {
		t.Fatal(err)
	}
	in.Step = 0
	if err := step(); err != nil {
		t.Error(err)
	}
	m.Close()
	if far.live != 0 {
		t.Errorf("%d buffers are left after Close", far.live)
	}
}

// TestOnlyTheBatchIsSent: the host sends a step the arrays of the batch that changed and the rates that did.
func TestOnlyTheBatchIsSent(t *testing.T) {
	c := tinyConfig()
	far := &remote{Backend: backendtest.Open(t, "cpu"), t: t, aliases: true, aliased: map[string][][2]int{}}
	m := freshModel(t, far, c)
	defer m.Close()
	in := tinyBatch(c)
	in.LR, in.PuzzleEmbLR = 3e-3, 3e-3
	for in.Step = 1000; in.Step <= 1002; in.Step++ { // the bias corrections are one long since
		far.sent = 0
		in.Inputs[0], in.Labels[0] = 1+in.Inputs[0]%9, 1+in.Labels[0]%9
		if _, err := m.Step(in); err != nil {
			t.Fatal(err)
		}
	}
	if far.sent != 2 {
		t.Errorf("%d arrays were sent for a step, want inputs and labels", far.sent)
	}
}

// TestOneNumberIsReadBack: of a step the host reads the loss, which is NaN if anything was not finite; then it reads the metrics to
// say more. They are read when they are asked for.
func TestOneNumberIsReadBack(t *testing.T) {
	c := tinyConfig()
	far := &remote{Backend: backendtest.Open(t, "cpu"), t: t, aliases: true, aliased: map[string][][2]int{}}
	m := freshModel(t, far, c)
	defer m.Close()
	if _, err := m.Metrics(); err == nil {
		t.Error("there are metrics before the first step")
	}
	in := tinyBatch(c)
	step := func() error {
		in.Step++
		_, err := m.Step(in)
		return err
	}
	metrics := func() error {
		_, err := m.Metrics()
		return err
	}
	broken := m.InitState(1)
	for _, row := range []struct {
		name string
		do   func() error
		want []int
	}{
		{"step", step, []int{8}},
		{"next step", step, []int{8}},
		{"metrics", metrics, []int{8 * numMetrics}},
		{"load", func() error {
			fill(broken["param/lm_head.weight"], float32(math.NaN()))
			return m.Load(broken)
		}, nil},
		{"step that is not finite", step, []int{8, 8 * numMetrics}},
	} {
		far.read = nil
		if err := row.do(); err != nil || !slices.Equal(far.read, row.want) {
			t.Errorf("%s: copies of %v bytes to the host, want %v (%v)", row.name, far.read, row.want, err)
		}
	}
}
