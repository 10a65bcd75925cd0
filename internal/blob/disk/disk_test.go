package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/blobtest"
)

func open(t *testing.T) *Bucket {
	b, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) { blobtest.Run(t, func(t *testing.T) blob.Bucket { return open(t) }) }

func TestDamageIsFound(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"flipped bit": func(p string) error { return os.WriteFile(p, []byte("hellp"), 0o666) },
		"truncated":   func(p string) error { return os.Truncate(p, 3) },
		"longer":      func(p string) error { return os.WriteFile(p, []byte("hello!"), 0o666) },
	} {
		b := open(t)
		if _, err := blob.PutBytes(t.Context(), b, "k", []byte("hello"), blob.Any); err != nil {
			t.Fatal(err)
		}
		fi, _ := os.Stat(b.path("k"))
		for _, keepTime := range []bool{false, true} {
			if err := damage(b.path("k")); err != nil {
				t.Fatal(err)
			}
			if keepTime {
				os.Chtimes(b.path("k"), fi.ModTime(), fi.ModTime())
			}
			if _, _, err := blob.ReadAll(t.Context(), b, "k", 0); !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("%s, time kept %v: %v", name, keepTime, err)
			}
		}
	}
}

func TestFullDisk(t *testing.T) {
	b := open(t)
	b.write = func(dst io.Writer, src io.Reader) (int64, error) {
		n, _ := io.CopyN(dst, src, 3)
		return n, syscall.ENOSPC
	}
	_, err := blob.PutBytes(t.Context(), b, "x/k", []byte("hello"), blob.Any)
	if !errors.Is(err, blob.ErrTransient) || !errors.Is(err, blob.ErrFull) || !strings.Contains(err.Error(), "no space left in "+b.Dir()) {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(filepath.Join(b.dir, tempDir))
	if len(left) != 0 {
		t.Fatalf("debris: %v", left)
	}
	if _, err := b.Stat(t.Context(), "x/k"); !errors.Is(err, blob.ErrNotExist) {
		t.Fatal(err)
	}
}

// A crash after the checksums were written and before the rename leaves the old object.
func TestCrashBeforeRename(t *testing.T) {
	b := open(t)
	a, err := blob.PutBytes(t.Context(), b, "k", []byte("old"), blob.Any)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.addSum(t.Context(), "k", sum{Generation: a.Generation + 1, Size: 9, CRC32C: 1}); err != nil {
		t.Fatal(err)
	}
	temp, _, err := b.stage(t.Context(), strings.NewReader("new"), 3)
	if err != nil {
		t.Fatal(err)
	}
	temp.f.Close() // the writer is dead
	again, err := Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	data, got, err := blob.ReadAll(t.Context(), again, "k", a.Generation)
	if err != nil || string(data) != "old" {
		t.Fatalf("%q, %v; want old", data, err)
	}
	if diff := cmp.Diff(a, got); diff != "" {
		t.Fatalf("the object's attributes (-want +got):\n%s", diff)
	}
	if left, _ := os.ReadDir(filepath.Join(b.dir, tempDir)); len(left) != 0 {
		t.Fatalf("debris: %v", left)
	}
	if _, err := blob.PutBytes(t.Context(), again, "k", []byte("newer"), a.Generation); err != nil {
		t.Fatal(err)
	}
}
