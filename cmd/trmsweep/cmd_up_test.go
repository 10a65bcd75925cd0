package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"trmsweep/internal/localstack"
)

// init lets this test stand for an `up` on the folder of its last argument.
func init() {
	if len(os.Args) != 3 || os.Args[1] != "stand-for-up" {
		return
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	done, err := localstack.Keep(os.Args[2], strconv.Itoa(os.Getpid()))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	<-told
	done()
	os.Exit(0)
}

// startUp is a process that keeps the folder as `up` does.
func startUp(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "stand-for-up", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd
}

// down runs the command on a folder.
func down(t *testing.T, dir string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	code := execute(ctx, []string{"down", "--state", dir}, &out, &out)
	return code, out.String()
}

func TestDownStopsTheUpOfItsFolder(t *testing.T) {
	dir := t.TempDir()
	cmd := startUp(t, dir)
	if code, out := down(t, dir); code != exitOK || !strings.Contains(out, "stopped the stack on "+dir) {
		t.Errorf("exit code %d: %s", code, out)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it was not asked to stop: %v", err)
	}
	if code, out := down(t, dir); code != exitOK || !strings.Contains(out, "nothing runs on "+dir) {
		t.Errorf("again: exit code %d: %s", code, out)
	}
}

// After kill -9 of `up` its pid may be anyone's.
func TestDownLeavesForeignProcessesAlone(t *testing.T) {
	dir := t.TempDir()
	killed := startUp(t, dir)
	_ = killed.Process.Kill()
	_ = killed.Wait()
	foreign := exec.Command("sleep", "600")
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- foreign.Wait() }()
	file := filepath.Join(dir, localstack.KeeperFile)
	if err := os.WriteFile(file, []byte(strconv.Itoa(foreign.Process.Pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out := down(t, dir); code != exitOK || !strings.Contains(out, "nothing runs on "+dir) {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the killed one left is still there: %v", err)
	}
	if err := foreign.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err.Error() != "signal: killed" {
		t.Errorf("the foreign process has got a signal: %v", err)
	}
}

func TestDownNamesTheRunThatKeepsTheStack(t *testing.T) {
	defer func(d time.Duration) { stackDying = d }(stackDying)
	stackDying = 200 * time.Millisecond
	for _, runs := range []bool{true, false} { // `trmsweep run`, or a stack alone
		dir, _ := lockedState(t)
		if runs {
			done, err := localstack.Keep(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			defer done()
		}
		code, out := down(t, dir)
		if code != exitFailed || !strings.Contains(out, "press Ctrl-C where `run`") ||
			!strings.Contains(out, "pid 4711, Web UI http://127.0.0.1:2") {
			t.Errorf("run %v: exit code %d: %s", runs, code, out)
		}
	}
}

// The servers of a killed `up` need a moment to end.
func TestDownWaitsForTheServersOfAKilledUp(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "devstack.lock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	servers, err := localstack.LockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { _ = servers.Close() })
	if code, out := down(t, dir); code != exitOK || !strings.Contains(out, "stopped the stack on "+dir) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestSecondUpIsRefusedBeforeTheStackRuns(t *testing.T) {
	putDevstack(t)
	for _, command := range []string{"up", "run"} {
		dir := t.TempDir()
		startUp(t, dir) // its servers have not started yet
		var out bytes.Buffer
		code := execute(t.Context(), []string{command, "--state", dir}, &out, &out)
		if code != exitFailed || !strings.Contains(out.String(), "a stack already runs on "+dir) {
			t.Errorf("%s: exit code %d: %s", command, code, out.String())
		}
	}
}

// lockedState is a state folder on which a stack runs, as others see it.
func lockedState(t *testing.T) (dir, addresses string) {
	t.Helper()
	dir = t.TempDir()
	lock, err := os.Create(filepath.Join(dir, "devstack.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	addresses = filepath.Join(dir, "devstack.json")
	err = os.WriteFile(addresses, []byte(`{"temporal":"127.0.0.1:1","ui":"http://127.0.0.1:2","gcs":"http://127.0.0.1:3","pid":4711}`), 0o644)
	if err != nil {
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
	if _, err := f.WriteString("#!/bin/sh\necho \"$@\" >>\"$2/arguments\"\nexit 1\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAllowedHostsReachTheStack(t *testing.T) {
	putDevstack(t)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found := make(chan string, 1)
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if data, err := os.ReadFile(filepath.Join(dir, "arguments")); err == nil && len(data) > 0 {
				found <- string(data)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	var out bytes.Buffer
	execute(ctx, []string{"up", "--state", dir, "--allow-host", "studio.example", "--allow-host", "10.0.0.7"}, &out, &out)
	select {
	case got := <-found:
		if !strings.Contains(got, "--allow-host studio.example --allow-host 10.0.0.7\n") {
			t.Errorf("the stack is started with %q", got)
		}
	default:
		t.Errorf("no stack was started: %s", out.String())
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
		if code != exitFailed || !strings.Contains(out.String(), "a stack already runs on "+dir) ||
			!strings.Contains(out.String(), "pid 4711, Web UI http://127.0.0.1:2") {
			t.Errorf("%s: exit code %d: %s", command, code, out.String())
		}
		if after, err := os.ReadFile(addresses); err != nil || !bytes.Equal(after, before) {
			t.Errorf("%s: the running stack's addresses are %q, %v", command, after, err)
		}
	}
}

// Ctrl-C while the servers start is no failure of `up`, and leaves nothing.
func TestStoppedBeforeTheStackIsUp(t *testing.T) {
	putDevstack(t)
	for command, want := range map[string]int{"up": exitOK, "run": exitFailed} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		dir := t.TempDir()
		var out bytes.Buffer
		code := execute(ctx, []string{command, "--state", dir}, &out, &out)
		if code != want || !strings.Contains(out.String(), "stopped before the stack was up") {
			t.Errorf("%s: exit code %d: %s", command, code, out.String())
		}
		if _, err := os.Stat(filepath.Join(dir, localstack.KeeperFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", command, err)
		}
	}
}
