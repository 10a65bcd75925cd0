package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/queues"
)

func TestStackSurvivesKill(t *testing.T) {
	state := t.TempDir()
	first := startStack(t, state)
	mustRun(t, "tctl", "workflow", "start", "--state", state, "--type", "AllAblations", "--workflow-id", "study")
	object := put(t, first.GCS, "runs/a/HEAD.json", "the head")
	if err := first.signal(t, syscall.SIGKILL); err == nil {
		t.Fatal("a killed process reported success")
	}

	second := startStack(t, state)
	addresses := func(s *stack) []string { return []string{s.Temporal, s.UI, s.GCS} }
	if diff := cmp.Diff(addresses(first), addresses(second)); diff != "" {
		t.Errorf("addresses changed (-before +after):\n%s", diff)
	}
	out := mustRun(t, "tctl", "workflow", "describe", "--state", state, "study")
	if !strings.Contains(out, "WORKFLOW_EXECUTION_STATUS_RUNNING") {
		t.Errorf("after the kill the workflow is\n%s", out)
	}
	if got := get(t, object); got != "the head" {
		t.Errorf("the object holds %q after the kill", got)
	}

	refused := run(t, "devstack", "--state", state)
	if refused.code != 1 || !strings.Contains(refused.stderr, "already runs on "+state) {
		t.Errorf("a second stack on the folder: %+v", refused)
	}
	if err := second.signal(t, syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, second.output.String())
	}
	if _, err := os.Stat(filepath.Join(state, "devstack.json")); !os.IsNotExist(err) {
		t.Errorf("devstack.json after a clean stop: %v", err)
	}
}

func TestTwoStacksBesideEachOther(t *testing.T) {
	a, b := startStack(t, t.TempDir()), startStack(t, t.TempDir())
	if a.Temporal == b.Temporal || a.UI == b.UI || a.GCS == b.GCS {
		t.Errorf("two stacks share addresses: %+v %+v", a, b)
	}
	_, port, _ := strings.Cut(a.Temporal, ":")
	r := run(t, "devstack", "--state", t.TempDir(), "--temporal-port", port)
	if r.code != 1 || !strings.Contains(r.stderr, "--temporal-port "+port) {
		t.Errorf("a port that is taken: %+v", r)
	}
}

func TestSchemaChangeIsReported(t *testing.T) {
	state := t.TempDir()
	s := startStack(t, state)
	_ = s.signal(t, syscall.SIGTERM)
	path := filepath.Join(state, "temporal.version.json")
	if err := os.WriteFile(path, []byte(`{"server":"1.0.0","schema":"0.1","visibility":"0.1"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, "devstack", "--state", state)
	if r.code != 1 || !strings.Contains(r.stderr, "was made by Temporal 1.0.0") {
		t.Errorf("another schema: %+v", r)
	}
}

// The stack's own list and the names the workflows use must agree.
func TestSearchAttributes(t *testing.T) {
	var want []string
	for name, kind := range queues.SearchAttributes {
		want = append(want, name+"="+kind)
	}
	got := strings.Fields(mustRun(t, "devstack", "--list-search-attributes"))
	sort.Strings(want)
	sort.Strings(got)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("devstack registers %v\nworkflows use %v", got, want)
	}

	state := t.TempDir()
	s := startStack(t, state)
	query := queues.AttrStep + " > 3 AND " + queues.AttrBest + " > 0.5 AND " + queues.AttrSweep + " = 'x'"
	mustRun(t, "tctl", "workflow", "list", "--state", state, "--query", query)
	if r := run(t, "tctl", "workflow", "list", "--state", state, "--query", "TrmLater = 1"); r.code != 1 {
		t.Errorf("a search attribute nobody registered: %+v", r)
	}
	_ = s.signal(t, syscall.SIGKILL)
	startStack(t, state, "--search-attribute", "TrmLater=Int") // a newer build with one more
	mustRun(t, "tctl", "workflow", "list", "--state", state, "--query", "TrmLater = 1")
}

func put(t *testing.T, gcs, name, content string) string {
	t.Helper()
	escaped := strings.ReplaceAll(name, "/", "%2F")
	resp, err := http.Post(gcs+"/upload/storage/v1/b/trmsweep/o?uploadType=media&name="+escaped, "application/json",
		strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("upload %s: %s", name, resp.Status)
	}
	return gcs + "/storage/v1/b/trmsweep/o/" + escaped + "?alt=media"
}

func get(t *testing.T, url string) string {
	t.Helper()
	data, err := fetch(url)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// read is the content of an object of the project's bucket.
func read(gcs, name string) (string, error) {
	return fetch(gcs + "/storage/v1/b/trmsweep/o/" + strings.ReplaceAll(name, "/", "%2F") + "?alt=media")
}

func fetch(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("get %s: %s %v", url, resp.Status, err)
	}
	return string(data), nil
}
