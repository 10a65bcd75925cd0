package localstack

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// However many start at one instant, one keeps the folder.
func TestOneKeepsTheState(t *testing.T) {
	dir := t.TempDir()
	var inside, kept atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				done, err := Keep(dir, "1")
				if err != nil {
					if !strings.Contains(err.Error(), "a stack already runs on") {
						t.Error(err)
					}
					continue
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d keep it at once", n)
				}
				kept.Add(1)
				inside.Add(-1)
				done()
			}
		})
	}
	wg.Wait()
	if kept.Load() == 0 {
		t.Error("nobody kept it")
	}
}

func TestAddressesOfADeadStackGo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "devstack.json")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := removeAddresses(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	lock, err := LockState(dir)
	if err != nil {
		t.Fatalf("the next stack finds the folder locked: %v", err)
	}
	lock.Close()
}
