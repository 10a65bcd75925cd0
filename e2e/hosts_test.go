package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two sweeps with the same experiment on a host with two slots: one trains it, the other waits and shows how far it
// is; no step is lost, both are done, and the end is that of a run in one go.
func TestTwoSweepsShareARun(t *testing.T) {
	const name = "e2_2_t2_n2"
	s := startStack(t, t.TempDir())
	startWorker(t, s, "--slots", "2")
	start := func(id string) {
		t.Helper()
		mustRun(t, "trmsweep", "start", "TNSweep", "--state", s.State, "--experiments", name, "--id", id, "--preflight", "none",
			"--set", "epochs=60")
	}
	start("first")
	await(t, s, "first", "its training", func(v sweepView) bool { return len(v.Experiments) == 1 && v.Experiments[0].Progress.Step > 4 })
	start("second")
	await(t, s, "second", "the first one's progress", func(v sweepView) bool {
		if len(v.Experiments) != 1 {
			return false
		}
		r := v.Experiments[0]
		return r.Holdup.Kind == "other-run" && r.Progress.Step > 4
	})
	hash := trainUndisturbed(t, name, "epochs=60")
	type outcome struct {
		Attempts  int
		LostSteps int64
		Reused    bool
		State     string
	}
	for id, want := range map[string]outcome{"first": {1, 0, false, hash}, "second": {0, 0, true, hash}} {
		r := await(t, s, id, "the end", func(v sweepView) bool { return v.Status == "done" }).row(t, name)
		if diff := cmp.Diff(want, outcome{r.Attempts, r.LostSteps, r.Reused, r.StateSHA256}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// One of two hosts lacks the backend that its worker was started with: the other one trains everything, nothing fails, and
// status names the sick host.
func TestOneHostCannotTrain(t *testing.T) {
	s := startStack(t, t.TempDir())
	sick := t.TempDir()
	w := exec.Command(filepath.Join(bin, "trmsweep"), "worker", "--state", sick, "--store", "gs://trmsweep", "--profile", "smoke",
		"--backend", "xla:/no/such/plugin.so")
	w.Env = append(cleanEnv(), "TEMPORAL_ADDRESS="+s.Temporal, "STORAGE_EMULATOR_HOST="+s.GCS)
	w.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.Process.Kill()
		_ = w.Wait()
	})
	startWorker(t, s)
	mustRun(t, "trmsweep", "start", "TNSweep", "--state", s.State, "--id", "sick", "--preflight", "none")
	v := await(t, s, "sick", "the end", func(v sweepView) bool { return v.Status == "done" })
	if v.Done != 5 || v.Failed != 0 {
		t.Errorf("%d done, %d failed", v.Done, v.Failed)
	}
	if out := mustRun(t, "trmsweep", "status", "sick", "--state", s.State); !strings.Contains(out, sick+": ") {
		t.Errorf("the host is not named:\n%s", out)
	}
}
