package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lockedState is a state folder on which a stack runs, as others see it.
func lockedState(t *testing.T) (dir, addresses string) {
	t.Helper()
	dir = t.TempDir()
	lock, err := holdState(dir, os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	addresses = filepath.Join(dir, "devstack.json")
	if err := os.WriteFile(addresses, []byte(`{"temporal":"127.0.0.1:1","ui":"http://127.0.0.1:2","gcs":"http://127.0.0.1:3","pid":4711}`), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, addresses
}

// putDevstack places a program beside this test where startStack looks for the embedded stack.
func putDevstack(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	devstack := filepath.Join(filepath.Dir(self), "devstack")
	f, err := os.OpenFile(devstack, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if os.IsExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(devstack) })
	if _, err := f.WriteString("#!/bin/sh\nexit 1\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSecondStackIsRefused(t *testing.T) {
	putDevstack(t)
	for _, command := range []string{"up", "run"} {
		dir, addresses := lockedState(t)
		before, err := os.ReadFile(addresses)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		code := execute(t.Context(), []string{command, "--state", dir, "--profile", "smoke"}, &out, &out)
		if code != exitFailed || !strings.Contains(out.String(), "a stack already runs on "+dir) || !strings.Contains(out.String(), "pid 4711, Web UI http://127.0.0.1:2") {
			t.Errorf("%s: exit code %d: %s", command, code, out.String())
		}
		if after, err := os.ReadFile(addresses); err != nil || !bytes.Equal(after, before) {
			t.Errorf("%s: the running stack's addresses are %q, %v", command, after, err)
		}
	}
}

func TestAddressesOfADeadStackGo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "devstack.json")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := forgetAddresses(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	lock, err := holdState(dir, 0)
	if err != nil {
		t.Fatalf("the next stack finds the folder locked: %v", err)
	}
	lock.Close()
}
