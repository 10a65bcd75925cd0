package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What a user names as input is read from files and pipes; a device without end and a pipe without a writer hold nobody up.
func TestInputsAreFilesOrPipes(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a folder": dir, "a device": "/dev/zero"} {
		if _, err := readInput(t.Context(), path, 100); err == nil || !strings.Contains(err.Error(), "neither a file nor a pipe") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if data, err := readInput(t.Context(), file, 4); err != nil || string(data) != "text" {
		t.Errorf("a file: %q, %v", data, err)
	}
	go func() {
		_ = os.WriteFile(fifo, []byte("through"), 0o600)
	}()
	if data, err := readInput(t.Context(), fifo, 100); err != nil || string(data) != "through" {
		t.Errorf("a pipe: %q, %v", data, err)
	}

	if _, err := readInput(t.Context(), file, 3); err == nil || !strings.Contains(err.Error(), "more than 3 bytes") {
		t.Errorf("a file that is too long: %v", err)
	}
	written := make(chan error, 1)
	go func() {
		w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		for err == nil { // until the reader has enough
			_, err = w.Write(make([]byte, 1<<12))
		}
		written <- errors.Join(err, w.Close())
	}()
	if _, err := readInput(t.Context(), fifo, 100); err == nil || !strings.Contains(err.Error(), "more than 100 bytes") {
		t.Errorf("a pipe without end: %v", err)
	}
	if err := <-written; !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the pipe's writer: %v", err)
	}

	told, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readInput(told, fifo, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("a pipe without a writer: %v", err)
	}
	w, err := os.OpenFile(fifo, os.O_RDWR, 0) // lets the reader behind it go
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}
