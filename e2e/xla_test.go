package e2e

import (
	"strings"
	"syscall"
	"testing"

	"trmsweep/internal/backend/backendtest"
)

// A sweep of two experiments on XLA, checks and trials included, whose first training process is killed: both learn, bit for
// bit, what undisturbed runs learn, and are in the report.
func TestSweepOnXLA(t *testing.T) {
	t.Parallel()
	backend := backendtest.XLA(t)
	experiments := []string{"e2_2_t2_n2", "e2_3_attention"}
	more := []string{"epochs=24", "eval_interval_epochs=12"} // 96 steps
	s := startStack(t, t.TempDir())
	w := startWorker(t, s, "--backend", backend)
	args := []string{"start", "AllAblations", "--state", s.State, "--experiments", strings.Join(experiments, ","), "--id", "xla"}
	mustRun(t, "trmsweep", append(args, sets(more...)...)...)
	first := ""
	await(t, s, "xla", "an experiment to train", func(v sweepView) bool {
		for _, r := range v.Experiments {
			if r.Status == "running" {
				first = r.Item.Run
			}
		}
		return first != ""
	})
	awaitCommit(t, s, first, 1)
	if err := syscall.Kill(w.child(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	v := await(t, s, "xla", "the end", func(v sweepView) bool { return v.Status == "done" })
	preemptions := 0
	for _, e := range experiments {
		r := v.row(t, e)
		preemptions += r.Preemptions
		if want := trainUndisturbedOn(t, backend, e, more...); r.Status != "done" || r.StateSHA256 != want {
			t.Errorf("%s is %s with state %s (%s), want done with %s", e, r.Status, r.StateSHA256, r.Error, want)
		}
	}
	if preemptions != 1 || len(v.Reports) == 0 {
		t.Errorf("%d preemptions, want 1; reports %v", preemptions, v.Reports)
	}
}
