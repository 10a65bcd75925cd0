package main

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// weightsOf is a small safetensors file.
func weightsOf(header string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
}

// Weights replace weights, and nothing that somebody else has made.
func TestWeightsReplaceOnlyWeights(t *testing.T) {
	data := weightsOf(`{"new":0}`)
	for name, c := range map[string]struct {
		make func(name string) error // what is there before
		code int
	}{
		"nothing":         {func(string) error { return nil }, exitOK},
		"safetensors":     {func(f string) error { return os.WriteFile(f, weightsOf(`{"old":0}`), 0o600) }, exitOK},
		"an empty file":   {func(f string) error { return os.WriteFile(f, nil, 0o600) }, exitOK},
		"a text":          {func(f string) error { return os.WriteFile(f, []byte("my thesis, the only copy"), 0o600) }, exitUsage},
		"a short text":    {func(f string) error { return os.WriteFile(f, []byte("hm"), 0o600) }, exitUsage},
		"cut safetensors": {func(f string) error { return os.WriteFile(f, weightsOf(`{"old":0}`)[:12], 0o600) }, exitUsage},
		"a folder":        {func(f string) error { return os.Mkdir(f, 0o700) }, exitUsage},
		"a link to weights": {func(f string) error {
			return errors.Join(os.WriteFile(f+".target", weightsOf(`{}`), 0o600), os.Symlink(f+".target", f))
		}, exitUsage},
		"a link to nothing": {func(f string) error { return os.Symlink(f+".target", f) }, exitUsage},
		"a link to a folder": {func(f string) error {
			return errors.Join(os.Mkdir(f+".target", 0o700), os.Symlink(f+".target", f))
		}, exitUsage},
		"a socket": {func(f string) error { return syscall.Mknod(f, syscall.S_IFSOCK|0o600, 0) }, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "f")
			if err := c.make(file); err != nil {
				t.Skip(err)
			}
			before, _ := os.Lstat(file)
			old, _ := os.ReadFile(file)
			err := writeWeights(file, data)
			if code := exitCode(err, io.Discard); code != c.code {
				t.Fatalf("exit code %d, %v", code, err)
			}
			got, _ := os.ReadFile(file)
			if c.code == exitOK {
				if string(got) != string(data) {
					t.Errorf("%q was written", got)
				}
				return
			}
			after, _ := os.Lstat(file)
			if after.Mode() != before.Mode() || string(got) != string(old) {
				t.Errorf("%v with %q, before %v with %q", after.Mode(), got, before.Mode(), old)
			}
			if _, err := os.Stat(file + ".target"); name == "a link to nothing" && !errors.Is(err, fs.ErrNotExist) {
				t.Error("the link's target was made")
			}
		})
	}
}

// A device and a pipe stay what they are, and get the bytes.
func TestWeightsIntoAStream(t *testing.T) {
	data := weightsOf(`{"new":0}`)
	if err := writeWeights(os.DevNull, data); err != nil {
		t.Error(err)
	}
	if st, err := os.Lstat(os.DevNull); err != nil || st.Mode()&fs.ModeCharDevice == 0 {
		t.Fatalf("%s is %v, %v", os.DevNull, st, err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(pipe, pipe+".link"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{pipe, pipe + ".link"} {
		got := make(chan []byte)
		go func() {
			all, _ := os.ReadFile(pipe)
			got <- all
		}()
		if err := writeWeights(name, data); err != nil {
			t.Fatal(err)
		}
		if all := <-got; string(all) != string(data) {
			t.Errorf("%s: %q", name, all)
		}
	}
}
