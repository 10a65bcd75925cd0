package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a finished sweep is asked for again: nothing is trained; what is missing
// between the last checkpoint and the report is made up for without a step of
// training; --force trains anew and learns the same.
func TestStartedAgain(t *testing.T) {
	const name = "e2_2_t2_n2"
	s := startStack(t, t.TempDir())
	startWorker(t, s)
	again := func(more ...string) row {
		t.Helper()
		mustRun(t, "trmsweep",
			append([]string{"start", "TNSweep", "--state", s.State, "--experiments", name, "--id", "again", "--preflight", "none"}, more...)...)
		await(t, s, "again", "the end", func(v sweepView) bool { return v.Status == "done" })
		eventually(t, "the workflow to close", func() error {
			out := mustRun(t, "tctl", "workflow", "describe", "--state", s.State, "again")
			if !strings.Contains(out, "WORKFLOW_EXECUTION_STATUS_COMPLETED") {
				return errMissing("end")
			}
			return nil
		})
		v := status(t, s, "again")
		if v.Done != 1 || len(v.Reports) == 0 {
			t.Fatalf("%+v", v)
		}
		return v.row(t, name)
	}
	first := again()
	if first.Attempts != 1 || first.Reused || first.StateSHA256 == "" {
		t.Fatalf("%+v", first)
	}
	got := again()
	want := got
	want.Attempts, want.Reused, want.StateSHA256 = 0, true, first.StateSHA256
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a finished run (-want +got):\n%s", diff)
	}
	for _, object := range []string{"runs/" + first.Item.Run + "/result.json", "sweeps/again/report.md"} {
		remove(t, s.GCS, object)
	}
	got = again()
	want = got
	want.Attempts, want.StateSHA256, want.Progress.RestoredFrom = 1, first.StateSHA256, first.Progress.Step
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a death between the last checkpoint and the result (-want +got):\n%s", diff)
	}
	for _, object := range []string{"runs/" + first.Item.Run + "/result.json", "sweeps/again/report.md"} {
		if _, err := read(s.GCS, object); err != nil {
			t.Errorf("not made again: %v", err)
		}
	}
	got = again("--force")
	want = got
	want.Attempts, want.Reused = 1, false
	want.StateSHA256, want.Progress.RestoredFrom = first.StateSHA256, 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("forced (-want +got):\n%s", diff)
	}
}

func remove(t *testing.T, gcs, name string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodDelete, gcs+"/storage/v1/b/trmsweep/o/"+strings.ReplaceAll(name, "/", "%2F"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("delete %s: %s", name, resp.Status)
	}
}
