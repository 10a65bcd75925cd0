//go:build cgo && linux

package aot

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

func spec(t *testing.T, name, profile string, sets ...string) experiment.Spec {
	t.Helper()
	specs, err := experiment.ResolveSweep(configs.FS, []string{name}, profile, sets, nil)
	if err != nil {
		t.Fatal(err)
	}
	return specs[0]
}

func newJob(t *testing.T, s experiment.Spec) Job {
	t.Helper()
	j, err := NewJob(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestJobsAreTheSameEveryTime: maps are ranged over while graphs are built, and the cache lives by equal bytes.
func TestJobsAreTheSameEveryTime(t *testing.T) {
	for _, name := range []string{"e1_1_baseline", "e2_3_attention"} {
		t.Run(name, func(t *testing.T) {
			s := spec(t, name, "paper")
			a, b := newJob(t, s), newJob(t, s)
			if a.Shards() != s.GlobalBatchSize/32 {
				t.Errorf("%d shards of a batch of %d, want shards of 32 rows", a.Shards(), s.GlobalBatchSize)
			}
			if !strings.Contains(string(a.Programs[apply].Code), "tf.aliasing_output") {
				t.Error("the optimizers do not compute in the memory of the old weights, as they do on a real plugin")
			}
			for _, program := range order {
				p, q := a.Programs[program], b.Programs[program]
				if !strings.HasPrefix(string(p.Code), "module @"+program) || len(p.Options) == 0 {
					t.Errorf("%s: %d bytes of options, code %.40q", program, len(p.Options), p.Code)
				}
				if !bytes.Equal(p.Code, q.Code) || !bytes.Equal(p.Options, q.Options) {
					t.Errorf("%s is another program the second time", program)
				}
			}
		})
	}
}

// TestJobsAreOfShards: the gradients are of one shard, and several shards have a program that adds them.
func TestJobsAreOfShards(t *testing.T) {
	for _, row := range []struct {
		shards, rows int
		programs     []string
	}{
		{1, 16, []string{apply, evaluate, gradients}},
		{2, 8, []string{addGradients, apply, evaluate, gradients}},
		{16, 1, []string{addGradients, apply, evaluate, gradients}},
	} {
		j := newJob(t, spec(t, "e2_2_t2_n2", "smoke", fmt.Sprint("gradient_shards=", row.shards)))
		if got := slices.Sorted(maps.Keys(j.Programs)); !slices.Equal(got, row.programs) || j.Shards() != row.shards {
			t.Errorf("%d shards: %d, programs %v, want %v", row.shards, j.Shards(), got, row.programs)
		}
		if want := fmt.Sprintf("tensor<%dx81xui8>", row.rows); !strings.Contains(string(j.Programs[gradients].Code), want) {
			t.Errorf("%d shards: the gradients are not of %d rows: no %s", row.shards, row.rows, want)
		}
	}
}
