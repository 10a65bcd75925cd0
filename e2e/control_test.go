package e2e

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Every control command on a real sweep: what it reached as JSON, what it refuses,
// and that an extended experiment ends as one that was that long from the start.
func TestControlCommands(t *testing.T) {
	t.Parallel()
	const a, b = "e2_2_t2_n2", "e2_2_t2_n6"
	more := []string{"epochs=32", "eval_interval_epochs=16"}
	s := startStack(t, t.TempDir())
	startWorker(t, s)
	mustRun(t, "trmsweep",
		append([]string{"start", "TNSweep", "--state", s.State, "--experiments", a + "," + b, "--id", "day"}, sets(more...)...)...)
	await(t, s, "day", "the plan", func(v sweepView) bool { return len(v.Experiments) == 2 })
	for _, c := range []struct {
		command string
		reached []string
	}{
		{"pause", []string{a, b}}, // before anything trains
		{"priority --to 1 " + b, []string{b}},
		{"skip " + b, []string{b}},
		{"retry " + b, []string{b}},
		{"add-seeds --seeds 7,42 " + b, []string{b + "-s7"}}, // 42 is there
		{"stop " + b + "-s7", []string{b + "-s7"}},
		{"extend --epochs 48 " + a, []string{a + "_48_epochs"}},
		{"resume " + a, []string{a}},
		{"resume", nil}, // nothing is paused any more
	} {
		args := append(strings.Fields(c.command), "--state", s.State, "--sweep", "day", "--json")
		var got struct {
			Sweep, Action string
			Experiments   []string
		}
		out := mustRun(t, "trmsweep", args...)
		if json.Unmarshal([]byte(out), &got) != nil || got.Sweep != "day" || !slices.Equal(got.Experiments, c.reached) {
			t.Errorf("%s: %s, want it to reach %q", c.command, out, c.reached)
		}
	}
	for _, c := range []struct {
		command string
		code    int
		want    string
	}{
		{"skip e2_2_t2_n7", 1, `no experiment "e2_2_t2_n7" in this sweep; the nearest is "e2_2_t2_n`},
		{"priority --to 9", 2, "--to 9: want 1 (first) to 5 (last)"},
		{"add-seeds --seeds 3,3", 1, "seed 3 is given twice"},
		{"extend --epochs 16 " + a, 1, "it has 32 epochs already"},
		{"priority", 2, "priority needs --to"},
		{"skip", 2, "requires at least 1 arg"},
		{"pause --sweep nowhere", 1, "no sweep of this id is running"},
	} {
		args := append(strings.Fields(c.command), "--state", s.State)
		if !strings.Contains(c.command, "--sweep") {
			args = append(args, "--sweep", "day")
		}
		if r := run(t, "trmsweep", args...); r.code != c.code || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s", c.command, r.code, c.code, c.want, r.stderr)
		}
	}
	v := await(t, s, "day", "the end", func(v sweepView) bool { return v.Status == "done" })
	for id, status := range map[string]string{a: "done", b: "done", a + "_48_epochs": "done", b + "-s7": "stopped"} {
		if r := v.row(t, id); r.Status != status {
			t.Errorf("%s is %s (%s), want %s", id, r.Status, r.Error, status)
		}
	}
	long := v.row(t, a+"_48_epochs")
	if want := trainUndisturbed(t, a, "epochs=48", "eval_interval_epochs=16"); long.StateSHA256 != want || long.Progress.RestoredFrom == 0 {
		t.Errorf("the extended run began at step %d and ended with %s, want %s", long.Progress.RestoredFrom, long.StateSHA256, want)
	}
	// One experiment without a sweep takes the same commands.
	mustRun(t, "trmsweep", append([]string{"start", b, "--state", s.State, "--id", "alone", "--seeds", "9"}, sets("epochs=960")...)...)
	for _, action := range []string{"pause", "resume", "stop"} {
		eventually(t, action, func() error {
			r := run(t, "trmsweep", action, "--state", s.State, "--sweep", "alone", "--json")
			if want := `{"action":"` + action + `","experiments":["alone"],"sweep":"alone"}`; r.code != 0 || strings.TrimSpace(r.stdout) != want {
				return errors.New(r.stdout + r.stderr)
			}
			return nil
		})
	}
	await(t, s, "alone", "the end of the single experiment", func(v sweepView) bool { return v.Status == "stopped" })
	replayAll(t, s, map[string]string{"day": "TNSweep-controlled.json"})
}
