//go:build cgo && linux

package aot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func newJob(t *testing.T, s experiment.Spec, rows int) Job {
	t.Helper()
	j, err := NewJob(s, rows)
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
			a, b := newJob(t, s, 32), newJob(t, s, 32)
			if a.Rows != 32 || a.EvalRows != 32 || a.Parts() != s.GlobalBatchSize/32 {
				t.Errorf("%d rows, %d to evaluate, %d parts of %d", a.Rows, a.EvalRows, a.Parts(), s.GlobalBatchSize)
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

func TestJobsHaveTheRowsAskedFor(t *testing.T) {
	s := spec(t, "e2_2_t2_n2", "smoke")
	for name, tc := range map[string]struct{ rows, want, evaluated, parts int }{
		"all":        {0, s.GlobalBatchSize, s.EvalBatchSize, 1},
		"more":       {1 << 20, s.GlobalBatchSize, s.EvalBatchSize, 1},
		"a part":     {s.GlobalBatchSize - 1, s.GlobalBatchSize - 1, s.GlobalBatchSize - 1, 2},
		"one by one": {1, 1, 1, s.GlobalBatchSize},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(t, s, tc.rows)
			type sizes struct{ Rows, EvalRows, Parts int }
			if diff := cmp.Diff(sizes{tc.want, tc.evaluated, tc.parts}, sizes{j.Rows, j.EvalRows, j.Parts()}); diff != "" {
				t.Errorf("sizes of the job (-want +got):\n%s", diff)
			}
		})
	}
}
