package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/checkpoint"
)

// The words of the README, in a terminal with nothing configured: the whole
// study starts, can be watched, and saves before it ends when cancelled.
func TestStudyAsTyped(t *testing.T) {
	t.Parallel()
	s := startStack(t, t.TempDir())
	startWorker(t, s)
	mustRun(t, "tctl", "workflow", "start", "--state", s.State, "--type", "AllAblations")
	v := await(t, s, "", "an experiment to train", func(v sweepView) bool {
		for _, r := range v.Experiments {
			if r.Progress.Step > 0 {
				return true
			}
		}
		return false
	})
	if len(v.Experiments) != 18 {
		t.Errorf("%d experiments, want 18", len(v.Experiments))
	}
	eventually(t, "the page in the Web UI to show the table and the time left", func() error {
		r := run(t, "tctl", "workflow", "query", "--state", s.State, "-w", v.Sweep, "--type", "__temporal_workflow_metadata")
		if r.code != 0 { // a busy machine's worker may take its time
			return errors.New(r.stderr)
		}
		for _, want := range []string{
			"**running**, profile smoke: ", " of 18 done", "| experiment | status | step |", "| queued (no-slot) |", "; time left: ",
		} {
			if !strings.Contains(r.stdout, want) {
				return fmt.Errorf("no %q in %s", want, r.stdout)
			}
		}
		return nil
	})
	mustRun(t, "trmsweep", "cancel", "--state", s.State)
	v = await(t, s, v.Sweep, "the study to stop", func(v sweepView) bool { return v.Status == "stopped" })
	for _, r := range v.Experiments {
		if r.Status != "stopped" && r.Status != "done" {
			t.Errorf("%s is %s after the cancellation", r.Item.ID, r.Status)
		}
		if r.Status == "stopped" && r.Progress.Step != r.Progress.CommittedStep {
			t.Errorf("%s stopped at step %d with step %d saved", r.Item.ID, r.Progress.Step, r.Progress.CommittedStep)
		}
	}
	out := mustRun(t, "tctl", "workflow", "list", "--state", s.State, "--query", "ExecutionStatus='Running'")
	if strings.Contains(out, "AllAblations") {
		t.Errorf("still running:\n%s", out)
	}
	replayAll(t, s, map[string]string{v.Sweep: "AllAblations-cancelled.json"})
}

// A sweep through everything that happens to it in a night: its training process
// killed, its worker killed, paused, cancelled, started again. What it has
// learned in the end is bit for bit what an undisturbed run learns.
func TestSweepThroughAccidents(t *testing.T) {
	t.Parallel()
	const longest, short = "e2_2_t2_n2", "e2_2_t2_n6"
	more := []string{"epochs=96", "eval_interval_epochs=16"} // 384 steps
	s := startStack(t, t.TempDir())
	w := startWorker(t, s)
	start := append([]string{"start", "TNSweep", "--state", s.State, "--experiments", longest, "--id", "night"}, sets(more...)...)
	mustRun(t, "trmsweep", start...)
	run := await(t, s, "night", "the plan", func(v sweepView) bool { return len(v.Experiments) > 0 }).row(t, longest).Item.Run
	awaitCommit(t, s, run, 1)

	if err := syscall.Kill(w.child(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitCommit(t, s, run, 2)
	w.kill(t)
	want := trainUndisturbed(t, longest, more...) // while the server waits for heartbeats
	startWorker(t, s)
	awaitCommit(t, s, run, 3)

	mustRun(t, "trmsweep", "pause", "--state", s.State, "--sweep", "night", longest)
	v := await(t, s, "night", "the pause", func(v sweepView) bool { return v.row(t, longest).Status == "paused" })
	if r := v.row(t, longest); r.Progress.Step != r.Progress.CommittedStep || r.Preemptions != 2 {
		t.Errorf("paused at step %d with step %d saved after %d preemptions, want 2", r.Progress.Step, r.Progress.CommittedStep, r.Preemptions)
	}
	mustRun(t, "trmsweep", "resume", "--state", s.State, "--sweep", "night")
	awaitCommit(t, s, run, 4)
	mustRun(t, "trmsweep", "cancel", "night", "--state", s.State)
	await(t, s, "night", "the cancellation", func(v sweepView) bool { return v.Status == "stopped" })

	mustRun(t, "trmsweep", start...)
	v = await(t, s, "night", "the end", func(v sweepView) bool { return v.Status == "done" })
	r := v.row(t, longest)
	if r.Status != "done" || r.StateSHA256 != want {
		t.Errorf("%s is %s with state %s (%s), want done with %s", longest, r.Status, r.StateSHA256, r.Error, want)
	}
	sum := 0.0
	for _, sec := range r.Goodput {
		sum += sec
	}
	if math.Abs(sum-r.WallSeconds) > 0.01*r.WallSeconds {
		t.Errorf("the goodput adds up to %g s of %g s: %v", sum, r.WallSeconds, r.Goodput)
	}
	checkReport(t, s, longest, short, more)
	replayAll(t, s, map[string]string{
		"night": "TNSweep.json", "day": "TNSweep-reused.json", "night/dataset": "DatasetGeneration.json",
		"night/ablations": "Phase.json", "night/ablations/" + longest: "Experiment.json",
	})
}

// awaitCommit waits until an attempt (the epoch of the run's fence) has committed a step.
func awaitCommit(t *testing.T, s *stack, run string, epoch int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("a checkpoint of attempt %d", epoch), func() error {
		data, err := read(s.GCS, "runs/"+run+"/HEAD.json")
		if err != nil {
			return err
		}
		var h checkpoint.Head
		if err := json.Unmarshal([]byte(data), &h); err != nil {
			return err
		}
		if n := len(h.Entries); h.Term < epoch || n == 0 || h.Entries[n-1].Term < epoch {
			return fmt.Errorf("the head is %s", data)
		}
		if h.Term > epoch {
			t.Fatalf("attempt %d is over: %s", epoch, data)
		}
		return nil
	})
}

// checkReport runs the sweep with one experiment more: the finished one is not
// trained again, and the report has both.
func checkReport(t *testing.T, s *stack, finished, added string, more []string) {
	t.Helper()
	args := append([]string{"start", "TNSweep", "--state", s.State, "--experiments", finished + "," + added, "--id", "day"}, sets(more...)...)
	mustRun(t, "trmsweep", args...)
	v := await(t, s, "day", "the second sweep", func(v sweepView) bool { return v.Status == "done" })
	r := v.row(t, finished)
	reused := r
	reused.Reused, reused.Attempts = true, 0
	if diff := cmp.Diff(reused, r); diff != "" {
		t.Errorf("%s was trained again (-want +got):\n%s", finished, diff)
	}
	if len(v.Reports) == 0 {
		t.Fatal("no report")
	}
	md := get(t, s.GCS+"/storage/v1/b/trmsweep/o/"+strings.ReplaceAll("sweeps/day/report.md", "/", "%2F")+"?alt=media")
	for _, e := range []string{finished, added} {
		if !strings.Contains(md, e) {
			t.Errorf("the report does not mention %s:\n%s", e, md)
		}
	}
	type result struct {
		Experiment string `json:"experiment"`
		Status     string `json:"status"`
	}
	var rows []result
	data := get(t, s.GCS+"/storage/v1/b/trmsweep/o/"+strings.ReplaceAll("sweeps/day/results.json", "/", "%2F")+"?alt=media")
	if err := json.Unmarshal([]byte(data), &rows); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(rows, func(x, y result) int { return strings.Compare(x.Experiment, y.Experiment) })
	want := []result{{finished, "done"}, {added, "done"}}
	slices.SortFunc(want, func(x, y result) int { return strings.Compare(x.Experiment, y.Experiment) })
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("results.json (-want +got):\n%s", diff)
	}
}

func TestFailedExperimentIsALine(t *testing.T) {
	s := startStack(t, t.TempDir())
	root := t.TempDir()
	missing := filepath.Join(root, "puzzles.csv")
	startWorker(t, s, "--data-root", root)
	mustRun(t, "trmsweep", "start", "TNSweep", "--state", s.State, "--experiments", "e2_2_t2_n2", "--id", "bad", "--set",
		"data_source="+missing)
	v := await(t, s, "bad", "the end", func(v sweepView) bool { return v.Status == "incomplete" })
	if v.Failed != 1 || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], missing) || !strings.Contains(v.Experiments[0].Error, missing) {
		t.Errorf("%+v", v)
	}
	// trmsweep would refuse it, and tctl too if it did not name the task queue
	mustRun(t, "tctl", "workflow", "start", "--state", s.State, "--type", "TNSweep", "-t", "trmsweep", "-w", "worse", "-i",
		`{"overrides":["hiden_size=64"]}`)
	v = await(t, s, "worse", "the refusal", func(v sweepView) bool { return v.Status == "failed" })
	if len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "hidden_size") {
		t.Errorf("%+v", v)
	}
	mustRun(t, "tctl", "workflow", "start", "--state", s.State, "--type", "TNSweep", "-w", "elsewhere", "-i",
		`{"overrides":["data_source=/proc/self/environ"]}`)
	v = await(t, s, "elsewhere", "the refusal", func(v sweepView) bool { return v.Status == "failed" })
	if len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "--data-root") || strings.Contains(v.Notes[0], "PATH=") {
		t.Errorf("%+v", v)
	}
	replayAll(t, s,
		map[string]string{"bad": "TNSweep-failed.json", "bad/ablations/e2_2_t2_n2": "Experiment-failed.json", "worse": "TNSweep-refused.json"})
}

// Every other type, started without input by the plainest client.
func TestOtherTypes(t *testing.T) {
	t.Parallel()
	s := startStack(t, t.TempDir())
	startWorker(t, s)
	for _, args := range [][]string{
		{"--type", "BatchSweep", "-w", "batch", "-i", `{"experiments":["e1_3_batch_1024"]}`},
		{"--type", "Experiment", "-w", "one", "-i", `{"experiment":"e1_3_batch_1024"}`},
		{"--type", "Preflight", "-w", "checks"},
		{"--type", "AllAblations", "-w", "all", "-i", `{"phases":["baseline"],"experiments":["e1_3_batch_1024"]}`},
	} {
		mustRun(t, "tctl", append([]string{"workflow", "start", "--wait", "--state", s.State}, args...)...)
	}
	replayAll(t, s,
		map[string]string{"batch": "BatchSweep.json", "one": "Experiment-reused.json", "checks": "Preflight.json", "all": "AllAblations.json"})
}
