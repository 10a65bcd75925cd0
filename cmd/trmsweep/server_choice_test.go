package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder that was named and has no stack is never replaced by a server that happens
// to be there, whatever the command.
func TestStateWithoutAStack(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	for _, command := range []string{
		"start TNSweep", "start e2_2_t2_n2", "status", "status x", "pause", "resume", "stop", "skip a", "retry a", "priority --to 1",
		"add-seeds --seeds 1", "extend a --epochs 2", "cancel", "cancel x",
	} {
		dir := t.TempDir()
		var out, errs bytes.Buffer
		code := execute(t.Context(), append(strings.Fields(command), "--state", dir), &out, &errs)
		if code != exitFailed || !strings.Contains(errs.String(), "no stack runs on "+dir) {
			t.Errorf("%s: exit code %d: %s", command, code, errs.String())
		}
	}
}

// An API key without an address is a fault of the configuration, told at once: a
// supervisor does not start such a worker again.
func TestCredentialsWithoutAServer(t *testing.T) {
	t.Setenv("TEMPORAL_API_KEY", "secret")
	t.Setenv("TEMPORAL_ADDRESS", "")
	t.Setenv("TRMSWEEP_STATE", t.TempDir())
	for _, command := range []string{"worker --store " + t.TempDir(), "status", "cancel"} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), strings.Fields(command), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), "TEMPORAL_API_KEY") || strings.Contains(errs.String(), "secret") {
			t.Errorf("%s: exit code %d: %s", command, code, errs.String())
		}
	}
}

// run and up say that they do not use the server of the environment.
func TestEmbeddedIgnoresTheEnvironment(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "production:7233")
	t.Setenv("TEMPORAL_API_KEY", "secret")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	devstack := filepath.Join(filepath.Dir(self), "devstack")
	if err := os.WriteFile(devstack, []byte("#!/bin/sh\nexit 2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(devstack)
	for _, command := range []string{"run", "up"} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{command, "--profile", "smoke", "--state", t.TempDir()}, &out, &errs)
		if code != exitFailed || !strings.Contains(errs.String(), "environment (TEMPORAL_ADDRESS, TEMPORAL_API_KEY) is ignored") {
			t.Errorf("%s: exit code %d: %s", command, code, errs.String())
		}
	}
}

// Commands that messages name act on the folders that were given, wherever the message comes from.
func TestHintsRepeatTheFlags(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"of a command", []string{"run", "--sweep", "e1_1_baseline", "--state", "b"}, "`trmsweep start e1_1_baseline --state b`"},
		{"of a package", []string{"status", "--state", "my state"}, "`trmsweep up --state 'my state'`"},
		{"not given", []string{"verify"}, "`trmsweep status`"},
		{"configuration", []string{"dataset", "build", "--configs", "c"}, "`trmsweep dataset build --help --configs c`"},
	} {
		var out, errs bytes.Buffer
		if code := execute(t.Context(), c.args, &out, &errs); code == exitOK || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: exit code %d, want %s in %s", c.name, code, c.want, errs.String())
		}
	}
}
