package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// A run made by `trmsweep train` is verified by `trmsweep verify`: 0 when it is whole, 1 when it is not, 2 when there is none.
func TestTrainAndVerify(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	command := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := execute(t.Context(), append(args, "--state", dir, "--store", store, "--run", "mine"), &out, &errs)
		return out.String(), errs.String(), code
	}
	training := append([]string{"train", "e2_2_t2_n2", "--backend", "cpu", "--no-metadata", "--max-steps", "3"}, tiny()...)
	if _, errs, code := command("verify"); code != exitUsage || !strings.Contains(errs, "no such run") {
		t.Fatalf("verify before training: exit code %d, %s", code, errs)
	}
	out, errs, code := command(training...)
	if code != exitOK {
		t.Fatalf("train: exit code %d\n%s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct {
		Type        string
		StateSHA256 string `json:"state_sha256"`
		Step        int64
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	wantLast := last
	wantLast.Type, wantLast.Step = protocol.EventResult, 3
	if diff := cmp.Diff(wantLast, last); diff != "" {
		t.Fatalf("last line (-want +got):\n%s", diff)
	}
	out, errs, code = command("verify", "--json")
	var v train.Verification
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitOK {
		t.Fatalf("verify: exit code %d, %v: %s %s", code, err, out, errs)
	}
	want := v
	want.OK, want.StateSHA256, want.BatchSteps = true, last.StateSHA256, 3
	if diff := cmp.Diff(want, v); diff != "" {
		t.Fatalf("verify (-want +got):\n%s\n%s", diff, errs)
	}
	if out, _, code := command("verify"); code != exitOK || !strings.HasSuffix(out, "OK\n") {
		t.Errorf("exit code %d: %s", code, out)
	}
	err := filepath.WalkDir(filepath.Join(store, "runs"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".safetensors") {
			return os.Truncate(path, 100)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out, _, code = command("verify", "--json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitFailed || v.OK || len(v.Faults) == 0 {
		t.Errorf("verify of damage: exit code %d, %v, OK %v, faults %q", code, err, v.OK, v.Faults)
	}
	out, errs, code = command(append(training, "--set", "lr=0.5")...)
	if code != protocol.ExitUsage || !strings.Contains(errs, "another --run") || !strings.Contains(errs, "lr=") {
		t.Errorf("train with another spec: exit code %d, %s", code, errs)
	}
	lines = strings.Split(strings.TrimSpace(out), "\n")
	var failed protocol.Event
	err = json.Unmarshal([]byte(lines[len(lines)-1]), &failed)
	if err != nil || failed.Type != protocol.EventError || failed.CommittedStep != 3 || failed.Total <= 3 {
		t.Errorf("its last line: %q, %v", lines[len(lines)-1], err)
	}
	if _, errs, code := command(training...); code != protocol.ExitFinal || !strings.Contains(errs, "every checkpoint is bad") {
		t.Errorf("train on damage: exit code %d, %s", code, errs)
	}
	if code := execute(t.Context(), []string{"verify", "--state", dir}, &bytes.Buffer{}, &bytes.Buffer{}); code != exitUsage {
		t.Errorf("verify without a run: exit code %d", code)
	}
}
