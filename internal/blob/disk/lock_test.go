package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trmsweep/internal/blob"
)

// A lock that somebody holds on to is an outage with a name, and ends with the context.
func TestHeldLock(t *testing.T) {
	b, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b.lockWait = 10 * time.Millisecond
	unlock, _, err := b.lock(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("told to stop")
	cancel(stop)
	for name, try := range map[string]func(context.Context) error{
		"put": func(ctx context.Context) error {
			_, err := blob.PutBytes(ctx, b, "key", []byte("x"), blob.Any)
			return err
		},
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "key", blob.Any) },
	} {
		err := try(t.Context())
		named := strings.Contains(fmt.Sprint(err), filepath.Join(b.dir, lockDir)) && strings.Contains(fmt.Sprint(err), " is held by ")
		if !errors.Is(err, blob.ErrTransient) || !named {
			t.Errorf("%s: %v", name, err)
		}
		if err := try(ended); !errors.Is(err, stop) {
			t.Errorf("%s after the end of its context: %v", name, err)
		}
	}
	unlock()
	if _, err := blob.PutBytes(t.Context(), b, "key", []byte("x"), blob.Any); err != nil {
		t.Error(err)
	}
}

func TestHolderIsNamed(t *testing.T) {
	const locks = "1: POSIX  ADVISORY  WRITE 11 fd:01:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 fd:01:8 0 EOF\n" +
		"3: FLOCK  ADVISORY  WRITE 13 fd:01:7 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 14 fd:01:7 0 EOF\n4: FLOCK  ADVISORY  READ x fd:01:9 0 EOF\n"
	for file, want := range map[string]int{"fd:01:7": 13, "fd:01:8": 12, "fd:01:9": 0, "fd:02:7": 0} {
		if got := flockOwner(locks, file); got != want {
			t.Errorf("%s: process %d, want %d", file, got, want)
		}
	}

	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	got := ""
	for range 1000 {
		if got = describe(cmd.Process.Pid); got == " (sleep, which is stopped)" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("a stopped process%s", got)
}

// Where the system lists locks it lists this one.
func TestHolderOfARealLock(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := flock(f, syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if got := holder(f); got != "this process itself" && got != "another process" {
		t.Error(got)
	}
}

// A folder that leads nowhere, or refuses, is said so, at the open and at every write alike.
func TestStoresThatRefuse(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "gone"), link); err != nil {
		t.Fatal(err)
	}
	_, err := Open(link)
	if err == nil || !strings.Contains(err.Error(), "it is a symbolic link to "+filepath.Join(dir, "gone")+", which is not there") {
		t.Errorf("dangling link: %v", err)
	}
	b, err := Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		for _, op := range []string{"open store", "put", "delete"} {
			err := b.explain(op, "key", &os.PathError{Op: "open", Path: "x", Err: cause})
			if !errors.Is(err, blob.ErrDenied) || errors.Is(err, blob.ErrTransient) {
				t.Errorf("%s: %v", op, err)
			}
		}
	}
}
