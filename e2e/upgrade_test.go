package e2e

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// buildAs builds trmsweep as if from another commit and returns the program.
func buildAs(t *testing.T, code string) string {
	t.Helper()
	program := filepath.Join(bin, code, "trmsweep")
	cmd := exec.Command("go", "build", "-ldflags", "-X trmsweep/internal/version.code="+code, "-o", program, "./cmd/trmsweep")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", code, err, out)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(program)) })
	return program
}

// A worker that is killed in the middle of a sweep and replaced by one of a newer
// build: the sweep goes on where it was and ends as if nothing had happened.
func TestNewerBuildFinishesTheSweep(t *testing.T) {
	t.Parallel()
	const first, second = "e2_2_t2_n2", "e2_2_t2_n6"
	more := []string{"epochs=48", "eval_interval_epochs=16"} // 192 steps
	older, newer := buildAs(t, "older"), buildAs(t, "newer")
	s := startStack(t, t.TempDir())
	w := startProgram(t, older, s)
	mustRun(t, "trmsweep", append([]string{"start", "TNSweep", "--state", s.State, "--experiments", first + "," + second, "--parallelism", "1",
		"--id", "long"}, sets(more...)...)...)
	v := await(t, s, "long", "the plan", func(v sweepView) bool { return len(v.Experiments) > 0 })
	run, last := v.row(t, first).Item.Run, v.row(t, second).Item.Run
	awaitCommit(t, s, run, 1)
	w.kill(t)
	startProgram(t, newer, s)
	v = await(t, s, "long", "the end", func(v sweepView) bool { return v.Status == "done" })
	type outcome struct{ Done, FirstPreempted, SecondPreempted int }
	got := outcome{v.Done, v.row(t, first).Preemptions, v.row(t, second).Preemptions}
	if diff := cmp.Diff(outcome{Done: 2, FirstPreempted: 1}, got); diff != "" {
		t.Errorf("the sweep (-want +got):\n%s", diff)
	}
	if want := trainUndisturbed(t, first, more...); v.row(t, first).StateSHA256 != want {
		t.Errorf("%s ended with state %s, want %s", first, v.row(t, first).StateSHA256, want)
	}
	memo := mustRun(t, "tctl", "workflow", "describe", "--state", s.State, "long")
	if !strings.Contains(memo, base64.StdEncoding.EncodeToString([]byte(`"older"`))) {
		t.Errorf("the sweep does not say that the older build planned it:\n%s", memo)
	}
	if result, err := read(s.GCS, "runs/"+last+"/result.json"); err != nil || !strings.Contains(result, `"newer"`) {
		t.Errorf("the second experiment was not finished by the newer build: %v\n%s", err, result)
	}
	replayAll(t, s, nil)
}
