package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"trmsweep/internal/localstack"
)

func TestForget(t *testing.T) {
	state := []string{"devstack.lock", "devstack.json", "temporal.db", "temporal.db-wal", "gcs/trmsweep/runs/a/HEAD.json",
		"cache/datasets/x/MANIFEST.json", "logs/worker.log", "sweeps/s/report.md"}
	for _, tc := range []struct {
		name  string
		files []string
		code  int
		want  string
	}{
		{"a state folder", state, exitOK, "forgot"},
		{"nothing there", nil, exitOK, "nothing to forget"},
		{"someone's home", []string{".bashrc", "thesis.tex"}, exitUsage, "not a state folder"},
		{"only familiar names", []string{"logs/mine.log", "cache/x"}, exitUsage, "not a state folder"},
		{"something of the user's in it", append([]string{"notes.txt"}, state...), exitUsage, "it also holds notes.txt"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			for _, f := range tc.files {
				f = filepath.Join(dir, f)
				if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f, []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			code := execute(context.Background(), []string{"forget", "--state", dir}, &out, &out)
			if code != tc.code || !strings.Contains(out.String(), tc.want) {
				t.Fatalf("exit code %d, want %d; want %q in %q", code, tc.code, tc.want, out.String())
			}
			for _, f := range tc.files {
				_, err := os.Stat(filepath.Join(dir, f))
				if kept := err == nil; kept != (tc.code != exitOK) {
					t.Errorf("%s kept: %v", f, kept)
				}
			}
			if _, err := os.Stat(dir); tc.code == exitOK && !os.IsNotExist(err) {
				t.Errorf("the folder is still there: %v", err)
			}
		})
	}
}

// An empty folder is nobody's that is known: it stays.
func TestForgetLeavesAnEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	code := execute(t.Context(), []string{"forget", "--state", dir}, &out, &out)
	if code != exitOK || !strings.Contains(out.String(), "nothing to forget: "+dir+" is empty") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

func TestForgetRefusesARunningStack(t *testing.T) {
	dir := t.TempDir()
	lock, err := os.Create(filepath.Join(dir, "devstack.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code := execute(context.Background(), []string{"forget", "--state", dir}, &out, &out)
	if code != exitFailed || !strings.Contains(out.String(), "a stack runs on it") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// An `up` whose servers have not started yet keeps the folder as well.
func TestForgetRefusesAnUpThatStarts(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "devstack.lock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	startUp(t, dir)
	var out bytes.Buffer
	code := execute(t.Context(), []string{"forget", "--state", dir}, &out, &out)
	if code != exitFailed || !strings.Contains(out.String(), "a stack runs on it") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, localstack.KeeperFile)); err != nil {
		t.Error(err)
	}
}
