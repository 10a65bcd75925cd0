package pjrt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func key(digit string) string { return strings.Repeat(digit, 64) }

func newCache(t *testing.T, o CacheOptions) *Cache {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "compiled")
	}
	c, err := OpenCache(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// expect checks what the cache has; "" for nothing.
func expect(t *testing.T, c *Cache, key, program, from string) {
	t.Helper()
	got := c.get(key)
	switch {
	case got == nil && program == "":
	case got == nil:
		t.Errorf("nothing of %.4s, want %q from %s", key, program, from)
	case string(got.program) != program || got.from != from:
		t.Errorf("%.4s: %q from %s, want %q from %s", key, got.program, got.from, program, from)
	}
}

func TestFolderIsClosedToOthers(t *testing.T) {
	parent := t.TempDir()
	made := newCache(t, CacheOptions{Dir: filepath.Join(parent, "a", "made")})
	made.put(key("a"), []byte("program"))
	for path, want := range map[string]fs.FileMode{made.dir: 0o700, made.path(key("a")): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	for name, mode := range map[string]fs.FileMode{"group": 0o770, "others": 0o707} {
		dir := filepath.Join(parent, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenCache(CacheOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir+", can be written by others") {
			t.Errorf("a folder that %s can write to: %v", name, err)
		}
	}
	link := filepath.Join(parent, "link")
	if err := os.Symlink(made.dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCache(CacheOptions{Dir: link}); err == nil {
		t.Error("a link was taken for a folder")
	}
	if err := os.Chmod(made.path(key("a")), 0o666); err != nil {
		t.Fatal(err)
	}
	expect(t, made, key("a"), "", "")
}

func TestDamagedEntries(t *testing.T) {
	c := newCache(t, CacheOptions{})
	for name, damage := range map[string]func(entry []byte) []byte{
		"cut":    func(e []byte) []byte { return e[:len(e)-1] },
		"longer": func(e []byte) []byte { return append(e, 'x') },
		"a bit":  func(e []byte) []byte { e[len(e)-1] ^= 1; return e },
		"empty":  func([]byte) []byte { return nil },
		"another version": func(e []byte) []byte {
			return []byte(strings.Replace(string(e), cacheFormat, "trmsweep-compiled-0", 1))
		},
		"another key": func(e []byte) []byte { return []byte(strings.Replace(string(e), key("a"), key("b"), 1)) },
	} {
		c.put(key("a"), []byte("program"))
		expect(t, c, key("a"), "program", FromFolder)
		entry, err := os.ReadFile(c.path(key("a")))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.path(key("a")), damage(entry), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := c.get(key("a")); got != nil {
			t.Errorf("%s: %q was loaded", name, got.program)
		}
		if _, err := os.Stat(c.path(key("a"))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the entry is still there (%v)", name, err)
		}
	}
}

func TestLeastRecentlyUsedGoes(t *testing.T) {
	c := newCache(t, CacheOptions{MaxBytes: 3000})
	program := make([]byte, 800) // three fit with their headers
	for i, k := range []string{"a", "b", "c"} {
		c.put(key(k), program)
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(c.path(key(k)), old, old); err != nil {
			t.Fatal(err)
		}
	}
	left := filepath.Join(c.dir, newPrefix+"1")
	old := time.Now().Add(-2 * time.Hour)
	if err := errors.Join(os.WriteFile(left, program, 0o600), os.Chtimes(left, old, old)); err != nil {
		t.Fatal(err)
	}
	c.get(key("a"))
	c.put(key("d"), program)
	for k, there := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, err := os.Stat(c.path(key(k))); (err == nil) != there {
			t.Errorf("%s: %v; want it there: %v", k, err, there)
		}
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what a killed process was writing is still there")
	}
	c.put(key("e"), make([]byte, 5000)) // larger than the limit: it stays alone until the next
	expect(t, c, key("e"), string(make([]byte, 5000)), FromFolder)
}

// TestOneProcessCompiles: a file is locked by whoever opened it, so that two opens stand for two processes.
func TestOneProcessCompiles(t *testing.T) {
	c := newCache(t, CacheOptions{})
	release, waited := c.alone(key("a"))
	if waited {
		t.Error("waited for nobody")
	}
	other, waited := c.alone(key("b"))
	if waited {
		t.Error("waited for another key")
	}
	other()
	second := make(chan bool)
	go func() {
		defer close(second)
		release, _ := c.alone(key("a"))
		defer release()
		expect(t, c, key("a"), "program", FromFolder) // the first is done
	}()
	c.put(key("a"), []byte("program"))
	release()
	<-second
	if locks, _ := filepath.Glob(filepath.Join(c.dir, "*.lock")); len(locks) > 0 {
		t.Errorf("locks are left: %v", locks)
	}
}

const dieEnv = "TRMSWEEP_TEST_DIE_LOADING"

// TestDying is the process that dies while it loads programs: those of the environment's digits.
func TestDying(t *testing.T) {
	dir, digits, _ := strings.Cut(os.Getenv(dieEnv), ":")
	if dir == "" {
		return
	}
	c := newCache(t, CacheOptions{Dir: dir})
	for digit := range strings.SplitSeq(digits, "") {
		if _, err := c.trying(key(digit), c.get(key(digit)).hash); err != nil {
			t.Fatal(err)
		}
	}
	os.Exit(3) // as by a signal: nothing is tidied up
}

// die has a process die while it loads programs of a folder.
func die(t *testing.T, c *Cache, digits string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDying$")
	cmd.Env = append(os.Environ(), dieEnv+"="+c.dir+":"+digits)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestLoaderThatDies finds what a process left that died while it loaded a program.
func TestLoaderThatDies(t *testing.T) {
	store := &fakeStore{m: map[string][]byte{}}
	c := newCache(t, CacheOptions{Store: store})
	c.put(key("a"), []byte("crashes"))
	c.Wait(t.Context())
	alive, err := c.trying(key("a"), hash([]byte("crashes")))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, c, key("a"), "crashes", FromFolder) // whoever loads it now lives
	alive()
	die(t, c, "a")
	expect(t, c, key("a"), "crashes", FromStore) // the folder's was dropped; once may have been chance
	c.executed(key("a"))                         // it was
	die(t, c, "a")
	expect(t, c, key("a"), "crashes", FromStore)
	die(t, c, "a")
	expect(t, c, key("a"), "", "") // neither from the folder nor, the same, from the store
	c.put(key("a"), []byte("crashes"))
	expect(t, c, key("a"), "", "")
	c.put(key("a"), []byte("another"))
	expect(t, c, key("a"), "another", FromFolder)
	if marks, _ := filepath.Glob(filepath.Join(c.dir, "*"+tryingMark+"*")); len(marks) > 0 {
		t.Errorf("marks are left: %v", marks)
	}
}

// TestLoadersInCompany: of programs that are loaded at the same time one may kill the process. The next one drops all of them, and loads
// them one by one, so that a second death names the one.
func TestLoadersInCompany(t *testing.T) {
	c := newCache(t, CacheOptions{})
	putAll := func() {
		for _, digit := range []string{"a", "b", "c"} {
			c.put(key(digit), []byte("program "+digit))
		}
	}
	// alone says whether no other program can be loaded while this one is.
	alone := func(digit string) bool {
		defer c.loading(key(digit))()
		if c.company.TryRLock() {
			c.company.RUnlock()
			return false
		}
		return true
	}
	putAll()
	if alone("a") {
		t.Error("a program without a record is loaded alone")
	}
	die(t, c, "ab")
	expect(t, c, key("a"), "", "")
	expect(t, c, key("b"), "", "")
	expect(t, c, key("c"), "program c", FromFolder)
	putAll() // a first death may have another cause: they are kept
	if !alone("a") || !alone("b") || alone("c") {
		t.Errorf("loaded alone: a %v, b %v, c %v; the first two have a record", alone("a"), alone("b"), alone("c"))
	}
	die(t, c, "a")
	expect(t, c, key("a"), "", "")
	putAll()
	expect(t, c, key("a"), "", "") // two deaths: it is not kept any more
	expect(t, c, key("b"), "program b", FromFolder)
	c.executed(key("b"))
	if alone("b") {
		t.Error("a program that was executed still has a record")
	}
}

// fakeStore is a store in memory that can fail.
type fakeStore struct {
	mu   sync.Mutex
	m    map[string][]byte
	fail error
}

func (s *fakeStore) Get(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data := s.m[name]; data != nil || s.fail != nil {
		return data, s.fail
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

func (s *fakeStore) Put(_ context.Context, name string, data []byte, replace bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if replace || s.m[name] == nil {
		s.m[name] = data
	}
	return nil
}

func (s *fakeStore) Has(_ context.Context, name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[name] != nil, s.fail
}

func TestStore(t *testing.T) {
	store := &fakeStore{m: map[string][]byte{}}
	first := newCache(t, CacheOptions{})
	first.put(key("a"), []byte("program")) // before there was a store
	with := newCache(t, CacheOptions{Dir: first.dir, Store: store})
	expect(t, with, key("a"), "program", FromFolder)
	with.Wait(t.Context())
	other := newCache(t, CacheOptions{Store: store})
	expect(t, other, key("a"), "program", FromStore)
	expect(t, other, key("a"), "program", FromFolder)
	other.Wait(t.Context())

	store.m[key("a")] = append(store.m[key("a")], 'x')
	third := newCache(t, CacheOptions{Store: store})
	expect(t, third, key("a"), "", "")
	third.put(key("a"), []byte("program"))
	third.Wait(t.Context())
	expect(t, newCache(t, CacheOptions{Store: store}), key("a"), "program", FromStore) // the damaged one was replaced
	store.fail = errors.New("storage is away")
	away := newCache(t, CacheOptions{Store: store})
	expect(t, away, key("a"), "", "")
	away.put(key("a"), []byte("program"))
	expect(t, away, key("a"), "program", FromFolder)
	away.Wait(t.Context())
}
