package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"train ":                         "e1_1_baseline",
		"plan ":                          "AllAblations",
		"plan AllAblations ":             "e3_1_large_model",
		"start ":                         "DatasetGeneration",
		"pause ":                         "e2_3_attention",
		"add-seeds ":                     "e2_3_attention",
		"train e1_1_baseline --profile ": "smoke",
		"up --profile ":                  "laptop",
		"start TNSweep --phases ":        "ablations",
		"run --sweep ":                   "BatchSweep",
	} {
		var out, errs bytes.Buffer
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		if code := execute(t.Context(), args, &out, &errs); code != exitOK || !strings.Contains("\n"+out.String(), "\n"+want+"\n") {
			t.Errorf("%q: exit code %d: %s %s", line, code, out.String(), errs.String())
		}
	}
}

// full is a device that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A command whose output is lost has failed, whichever way it writes.
func TestLostOutput(t *testing.T) {
	store, runs := studyStore(t)
	t.Setenv("TRMSWEEP_STORE", store)
	for _, line := range []string{
		"--help", "plan --help", "version", "--version", "plan TNSweep", "plan TNSweep --json",
		"compare " + runs[0] + " " + runs[0], "forget", "forget --json", "down", "down --json", "completion bash",
	} {
		var errs bytes.Buffer
		code := execute(t.Context(), append(strings.Fields(line), "--state", t.TempDir()+"/none"), full{}, &errs)
		if code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%s: exit code %d: %s", line, code, errs.String())
		}
	}
}

func TestVersion(t *testing.T) {
	var flag, command bytes.Buffer
	if execute(t.Context(), []string{"--version"}, &flag, &flag) != exitOK ||
		execute(t.Context(), []string{"version"}, &command, &command) != exitOK {
		t.Error("failed")
	}
	if flag.String() != command.String() || !strings.HasPrefix(flag.String(), "trmsweep version ") {
		t.Errorf("%q and %q", flag.String(), command.String())
	}
}

func TestDownAndForgetInJSON(t *testing.T) {
	for _, action := range []string{"down", "forget"} {
		var out bytes.Buffer
		code := execute(t.Context(), []string{action, "--json", "--state", t.TempDir() + "/none"}, &out, &out)
		if code != exitOK || !strings.Contains(out.String(), `"action":"`+action+`"`) || !strings.Contains(out.String(), `"done":false`) {
			t.Errorf("%s: exit code %d: %s", action, code, out.String())
		}
	}
}

// Nothing of a spec's file is left unread.
func TestSpecWithMoreBehindIt(t *testing.T) {
	dir := t.TempDir()
	spec := writeSpec(t, dir, `{"trailing":1}`)
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"train", "--spec", spec, "--no-metadata", "--state", dir}, &out, &errs)
	if code != exitUsage || !strings.Contains(errs.String(), "more follows the spec") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// writeSpec writes the spec of an experiment, and more behind it, into a file.
func writeSpec(t *testing.T, dir, more string) string {
	t.Helper()
	s, err := experiment.Resolve(configs.FS, "e2_2_t2_n2", "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "spec.json")
	if err := os.WriteFile(file, append(data, more...), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
