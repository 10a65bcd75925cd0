package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A report can be made when nothing runs any more: from the objects of the
// embedded stack, served for the moment.
func TestReportAfterTheStackIsGone(t *testing.T) {
	state := t.TempDir()
	s := startStack(t, state)
	hash := specHash(t, "e2_2_t2_n2")
	put(t, s.GCS, "sweeps/night/results.json",
		`[{"experiment":"e2_2_t2_n2","spec_hash":"`+hash+`","wanted_seeds":[42],"status":"failed","failure":"out of memory"}]`)
	made := func() {
		t.Helper()
		out := mustRun(t, "trmsweep", "report", "TNSweep", "--profile", "smoke", "--state", state)
		data, err := os.ReadFile(filepath.Join(state, "sweeps", "TNSweep-smoke", "report.md"))
		if err != nil || !strings.Contains(string(data), "failed: out of memory") {
			t.Errorf("%v\n%s\n%s", err, out, data)
		}
	}
	made()
	if err := s.signal(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	made()
	again := startStack(t, state) // nothing holds the folder
	get(t, again.GCS+"/storage/v1/b/trmsweep/o/sweeps%2FTNSweep-smoke%2Freport.md?alt=media")
}

// specHash is the content hash of an experiment with the smoke profile.
func specHash(t *testing.T, experiment string) string {
	t.Helper()
	out := mustRun(t, "trmsweep", "plan", experiment, "--profile", "smoke", "--json")
	_, rest, ok := strings.Cut(out, `"spec_hash": "`)
	hash, _, _ := strings.Cut(rest, `"`)
	if !ok || len(hash) != 64 {
		t.Fatalf("no spec hash in %s", out)
	}
	return hash
}
