package supervise

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRestartsAfterKillAndStopsCleanly(t *testing.T) {
	pids := make(chan int, 10)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	p := Process{Name: "sleeper", Path: "/bin/sh", Args: []string{"-c", "exec sleep 1000"}, Log: filepath.Join(t.TempDir(), "log"),
		OnStart: func(pid int) { pids <- pid }}
	go func() { done <- p.Run(ctx) }()
	first := <-pids
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := <-pids
	if second == first {
		t.Fatal("the same process was reported twice")
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run did not return after its context ended")
	}
	if err := syscall.Kill(second, 0); err == nil {
		t.Error("the process is still there")
	}
}

func TestGivesUp(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"usage error is final": {"echo bad flag; exit 2", "bad flag"},
		"dies young":           {"echo boom; exit 1", "died 3 times in a row"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Process{Name: "x", Path: "/bin/sh", Args: []string{"-c", tc.script}, Log: filepath.Join(t.TempDir(), "log"), GiveUp: 3}
			err := p.Run(context.Background())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q in it", err, tc.want)
			}
		})
	}
	err := (Process{Name: "x", Path: filepath.Join(os.TempDir(), "nowhere", "x"),
		Log: filepath.Join(t.TempDir(), "log")}).Run(context.Background())
	if err == nil {
		t.Error("a program that does not exist started")
	}
}
