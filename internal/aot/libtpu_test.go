//go:build cgo && linux

package aot

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/backend"
)

// requireEnv turns the skip of the tests that need libtpu into a failure.
const requireEnv = "TRMSWEEP_REQUIRE_LIBTPU"

// libtpu is the real compiler for a topology, in a child process.
func libtpu(t *testing.T, topology string) Compiler {
	t.Helper()
	plugin, err := backend.Find("tpu")
	err = errors.Join(err, plugin.Err)
	switch {
	case err != nil && os.Getenv(requireEnv) == "1":
		t.Fatalf("%s=1: %v", requireEnv, err)
	case err != nil:
		t.Skipf("NOT RUN without libtpu (%s=1 makes this a failure): %v", requireEnv, err)
	}
	c := compiler(t, "libtpu")
	c.Library = plugin.Path
	if c.Topology, err = ParseTopology(topology); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLibtpuKnowsTheTopologies: the names, and how many devices a program sees.
func TestLibtpuKnowsTheTopologies(t *testing.T) {
	for topology, want := range map[string]struct {
		kind    string
		devices int
	}{
		"v4:2x2x1": {"TPU v4", 4}, "v4:1x1x1": {"TPU v4", 1}, "v4:2x4x4": {"TPU v4", 32}, "v5e:2x2": {"TPU v5 lite", 4},
		"v5e:1x1": {"TPU v5 lite", 1}, "v5p:2x2x1": {"TPU v5", 4}, "v6e:2x4": {"TPU v6 lite", 8},
	} {
		t.Run(topology, func(t *testing.T) {
			got, err := libtpu(t, topology).Compile(t.Context(), Program{})
			if err != nil {
				t.Fatal(err)
			}
			type devices struct {
				Kind  string
				Count int
			}
			if diff := cmp.Diff(devices{want.kind, want.devices}, devices{got.DeviceKind, got.Devices}); diff != "" {
				t.Errorf("devices (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no slice of that shape", func(t *testing.T) {
		if err := libtpu(t, "v5e:3x3").Check(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}

// big needs 128 GiB for its argument alone, whatever is done to it.
const big = `module @big {
  func.func @main(%x: tensor<131072x262144xf32>) -> (tensor<131072x262144xf32>) {
    %0 = "stablehlo.transpose"(%x) {permutation = array<i64: 1, 0>} : (tensor<131072x262144xf32>) -> tensor<262144x131072xf32>
    %1 = "stablehlo.tanh"(%0) : (tensor<262144x131072xf32>) -> tensor<262144x131072xf32>
    %2 = "stablehlo.reshape"(%1) : (tensor<262144x131072xf32>) -> tensor<131072x262144xf32>
    return %2 : tensor<131072x262144xf32>
  }
}`

// TestLibtpuHasTheMemoryOfTheTable: the table of chips says what the compiler says.
func TestLibtpuHasTheMemoryOfTheTable(t *testing.T) {
	options := newJob(t, spec(t, "e2_2_t2_n2", "smoke")).Programs[apply].Options
	for _, chip := range chips {
		t.Run(chip.Kind, func(t *testing.T) {
			got, err := libtpu(t, chip.example).Compile(t.Context(), Program{Format: "mlir", Code: []byte(big), Options: options})
			if err != nil || got.Refused == nil || got.Refused.Have != chip.HBM {
				t.Errorf("%+v, %v; want a refusal with %s", got.Refused, err, GiB(chip.HBM))
			}
		})
	}
}

// TestLibtpuCompiles compiles a small experiment whole, and of the paper's model the optimizers and an evaluation. Its gradients
// take more than a minute of processor time: `plan --compile-for` compiles them, and docs/TPU.md has what it says.
func TestLibtpuCompiles(t *testing.T) {
	c := libtpu(t, "v4:2x2x1")
	small, paper := spec(t, "e2_2_t2_n2", "smoke"), spec(t, "e2_2_t2_n2", "paper", "eval_batch_size=32")
	planner := Planner{Compiler: c, Cache: Cache{Dir: t.TempDir()}}
	got, err := planner.Estimate(t.Context(), []Job{newJob(t, small)})
	if err != nil {
		t.Fatal(err)
	}
	e := got[0]
	counted := 2 * small.Params() // at least two operations for each weight
	type facts struct {
		Fits     bool
		Programs int
	}
	if diff := cmp.Diff(facts{true, 3}, facts{e.Fits, len(e.Programs)}); diff != "" {
		t.Errorf("%s (-want +got):\n%s", small.Name, diff)
	}
	if e.FLOPsPerStep < float64(counted) {
		t.Errorf("%s: %v operations a step, want at least %d", small.Name, e.FLOPsPerStep, counted)
	}
	if e.BytesPerStep <= 0 || e.Hours <= 0 {
		t.Errorf("%s: %v bytes a step, %v hours; want more than none", small.Name, e.BytesPerStep, e.Hours)
	}
	if e.HBMNeeded < small.CheckpointBytes() {
		t.Errorf("%s: needs %d bytes of HBM, fewer than the %d of its state", small.Name, e.HBMNeeded, small.CheckpointBytes())
	}
	j := newJob(t, paper)
	delete(j.Programs, gradients)
	if got, err = planner.Estimate(t.Context(), []Job{j}); err != nil {
		t.Fatal(err)
	}
	for _, p := range got[0].Programs {
		if p.Name == apply && p.Aliases == 0 {
			t.Error("the optimizers do not compute in the memory of the old weights")
		}
		if p.Refused != nil || p.Code == 0 || p.Arguments == 0 || p.Serialized == 0 || p.BytesAccessed == 0 {
			t.Errorf("%s of %s: %+v", p.Name, paper.Name, p)
		}
	}
}
