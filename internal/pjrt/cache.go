package pjrt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Cache keeps programs as a compiler has made them, so that a process that
// starts again need not compile: in a folder of this machine, and in a store that
// other machines share. A compiled program is code that is executed when it is
// found: who can write to the folder or the store can run code here.
//
// An entry is a file of its key's name: one line (format, key, hash and size of
// what follows), then the program. Files are only ever created whole, so any
// number of processes may share a folder.
//
// A plugin may crash on a program instead of refusing it: while it loads it, or
// in the first execution, as when the program has instructions that the
// processor lacks. During both a file KEY.trying-* stands beside the entry,
// locked by the process. If such a file is there and not locked, its process
// died: the entry is dropped, and the program's hash is noted in KEY.died. A
// program that is noted twice is not loaded on this machine again; once may have
// been chance, as when processes are killed. An execution clears the notes.
// Between loading and the first execution there is no file: hours may pass before
// an evaluation, and a process that is killed in them says nothing of the program.
type Cache struct {
	dir     string
	max     int64
	store   Store
	log     *slog.Logger
	uploads sync.WaitGroup

	mu      sync.Mutex
	flights map[string]*flight
	bad     map[string]bool // keys whose entry could not be used: what is compiled now replaces the store's
}

// Store is where machines share compiled programs. Methods are safe for concurrent use.
type Store interface {
	// Get returns fs.ErrNotExist, wrapped, for a name that is not there.
	Get(ctx context.Context, name string) ([]byte, error)
	// Put stores data. Where something has the name already it stays, without an error, unless replace is set.
	Put(ctx context.Context, name string, data []byte, replace bool) error
	Has(ctx context.Context, name string) (bool, error)
}

// CacheOptions say where compiled programs are kept.
type CacheOptions struct {
	Dir      string       // created if it is missing; must be closed to other users
	MaxBytes int64        // of all entries in Dir; 0 = 4 GiB
	Store    Store        // nil for none
	Logger   *slog.Logger // nil = slog.Default()
}

const (
	tryingMark   = ".trying-"
	diedMark     = ".died"
	cacheFormat  = "trmsweep-compiled-1"
	defaultBytes = 4 << 30
	// A store that does not answer in these times costs a compilation, or leaves other machines to compile.
	getTimeout = 2 * time.Minute
	putTimeout = 10 * time.Minute
	// A process that compiles for longer is not waited for.
	compilePatience = 20 * time.Minute
)

// OpenCache makes sure of the folder. The error says why programs cannot be kept there.
func OpenCache(o CacheOptions) (*Cache, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of compiled programs: %w", err)
	}
	info, err := os.Lstat(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("look at the folder of compiled programs: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("the folder of compiled programs, %s, is not a folder", o.Dir)
	}
	if err := closed(info); err != nil {
		return nil, fmt.Errorf("the folder of compiled programs, %s, %w: what is in it is executed; chmod 700 it, or use another", o.Dir, err)
	}
	c := &Cache{dir: o.Dir, max: cmp.Or(o.MaxBytes, defaultBytes), store: o.Store, log: o.Logger, flights: map[string]*flight{}, bad: map[string]bool{}}
	if c.log == nil {
		c.log = slog.Default()
	}
	return c, nil
}

// Wait waits until what was compiled is in the store, or ctx ends.
func (c *Cache) Wait(ctx context.Context) {
	if c == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		c.uploads.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// closed says what lets others write to a file or folder.
func closed(info fs.FileInfo) error {
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("can be written by others (mode %s)", info.Mode())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to another user (uid %d)", stat.Uid)
	}
	return nil
}

// flight is one key that goroutines of this process want.
type flight struct {
	mu   sync.Mutex
	want int
}

// lock keeps other goroutines of this process from the key until the function returned is called.
func (c *Cache) lock(key string) (unlock func()) {
	c.mu.Lock()
	f := c.flights[key]
	if f == nil {
		f = &flight{}
		c.flights[key] = f
	}
	f.want++
	c.mu.Unlock()
	f.mu.Lock()
	return func() {
		f.mu.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		if f.want--; f.want == 0 {
			delete(c.flights, key)
		}
	}
}

// alone waits until no other process of this machine compiles for the key, so that processes that start
// together compile once. waited: another one did, and what it made may be there now.
func (c *Cache) alone(key string) (release func(), waited bool) {
	f, err := os.OpenFile(c.path(key)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return func() {}, false
	}
	for deadline := time.Now().Add(compilePatience); ; waited = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() {
				_ = os.Remove(f.Name()) // who waits for the removed file compiles beside a third one at worst
				_ = f.Close()
			}, waited
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			_ = f.Close()
			return func() {}, waited
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *Cache) path(key string) string { return filepath.Join(c.dir, key) }

// Where a compiled program came from.
const (
	FromCompiler = "compiler"
	FromFolder   = "folder"
	FromStore    = "store"
)

// compiled is a program as a plugin has serialized it.
type compiled struct {
	program []byte
	hash    string // of program
	from    string
}

// get returns a compiled program, nil where there is none that may be loaded.
func (c *Cache) get(key string) *compiled {
	c.bury(key)
	if found, _, err := c.read(key); err == nil {
		now := time.Now()
		_ = os.Chtimes(c.path(key), now, now) // used last
		c.share(key, nil)
		found.from = FromFolder
		return found
	} else if !errors.Is(err, fs.ErrNotExist) {
		c.drop(key, err)
	}
	if c.store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), getTimeout)
	defer cancel()
	var found *compiled
	entry, err := c.store.Get(ctx, key)
	if err == nil {
		found, err = c.check(key, entry)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		c.log.Warn("the store's compiled program is not used", "key", key, "error", err)
		c.setBad(key)
		return nil
	}
	c.write(key, entry)
	found.from = FromStore
	return found
}

// put keeps a compiled program.
func (c *Cache) put(key string, program []byte) {
	sum := hash(program)
	if c.died(key, sum) {
		return
	}
	entry := append(header(key, sum, len(program)), program...)
	c.write(key, entry)
	c.share(key, entry)
}

// drop removes an entry that cannot be used, and says why.
func (c *Cache) drop(key string, why error) {
	c.log.Warn("a compiled program is dropped from the cache", "key", key, "error", why)
	c.setBad(key)
	_ = os.Remove(c.path(key))
}

func (c *Cache) setBad(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad[key] = true
}

func header(key, hash string, size int) []byte {
	return fmt.Appendf(nil, "%s %s %s %d\n", cacheFormat, key, hash, size)
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// read returns the program in the folder.
func (c *Cache) read(key string) (found *compiled, entry []byte, err error) {
	info, err := os.Lstat(c.path(key))
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a file")
	}
	if err := closed(info); err != nil {
		return nil, nil, fmt.Errorf("it %w", err)
	}
	if entry, err = os.ReadFile(c.path(key)); err != nil {
		return nil, nil, err
	}
	found, err = c.check(key, entry)
	return found, entry, err
}

// check returns the program in an entry if it is whole, of this key, and not known to crash here.
func (c *Cache) check(key string, entry []byte) (*compiled, error) {
	first, program, _ := bytes.Cut(entry, []byte("\n"))
	sum := hash(program)
	if string(first)+"\n" != string(header(key, sum, len(program))) {
		return nil, errors.New("it is damaged or of another version")
	}
	if c.died(key, sum) {
		return nil, errors.New("processes of this machine died while they loaded or first executed it")
	}
	return &compiled{program: program, hash: sum}, nil
}

// write puts an entry into the folder and removes those used longest ago beyond the limit.
func (c *Cache) write(key string, entry []byte) {
	if err := writeAtomically(c.path(key), entry); err != nil {
		c.log.Warn("a compiled program is not kept", "key", key, "error", err)
		return
	}
	c.evict(key)
}

// share puts an entry into the store in the background, unless a good one is there. A nil entry is read from the folder.
func (c *Cache) share(key string, entry []byte) {
	if c.store == nil {
		return
	}
	c.mu.Lock()
	replace := c.bad[key] && entry != nil
	c.mu.Unlock()
	c.uploads.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
		defer cancel()
		there, err := c.store.Has(ctx, key)
		if there && !replace {
			return
		}
		if err == nil && entry == nil {
			_, entry, err = c.read(key)
		}
		if err == nil {
			err = c.store.Put(ctx, key, entry, replace)
		}
		if err != nil {
			c.log.Warn("a compiled program is not in the store; other machines compile it again", "key", key, "error", err)
		}
	})
}

var keyName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// evict removes the entries used longest ago until the others fit, but for `keep`.
func (c *Cache) evict(keep string) {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var entries []fs.FileInfo
	var total int64
	for _, f := range files {
		info, err := f.Info()
		switch {
		case err != nil:
		case keyName.MatchString(f.Name()):
			entries = append(entries, info)
			total += info.Size()
		case strings.HasPrefix(f.Name(), newPrefix) && time.Since(info.ModTime()) > time.Hour: // of a process that was killed
			_ = os.Remove(filepath.Join(c.dir, f.Name()))
		}
	}
	slices.SortFunc(entries, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, e := range entries {
		if total <= c.max {
			return
		}
		if e.Name() != keep && os.Remove(filepath.Join(c.dir, e.Name())) == nil {
			total -= e.Size()
		}
	}
}

// trying marks that this process is about to have its plugin load or first execute the program. lived removes the mark.
func (c *Cache) trying(key, hash string) (lived func(), err error) {
	f, err := os.CreateTemp(c.dir, newPrefix+"*")
	if err != nil {
		return nil, err
	}
	mark := c.path(key) + tryingMark + strings.TrimPrefix(filepath.Base(f.Name()), newPrefix)
	_, err = f.WriteString(hash)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err == nil {
		err = os.Rename(f.Name(), mark) // nobody sees it unlocked
	}
	if err != nil {
		_ = os.Remove(f.Name())
		_ = f.Close()
		return nil, err
	}
	return func() {
		_ = os.Remove(mark)
		_ = f.Close()
	}, nil
}

// executed clears the notes of processes that died: the program runs here.
func (c *Cache) executed(key string) { _ = os.Remove(c.path(key) + diedMark) }

// bury drops the entry if a process died of it.
func (c *Cache) bury(key string) {
	marks, _ := filepath.Glob(c.path(key) + tryingMark + "*")
	for _, mark := range marks {
		f, err := os.Open(mark)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if hash, err := os.ReadFile(mark); err == nil { // still there: its process did not remove it
				c.drop(key, errors.New("a process died while it loaded or first executed it"))
				c.remember(key, string(hash))
				_ = os.Remove(mark)
			}
		}
		_ = f.Close()
	}
}

// remember notes that a process died of the program.
func (c *Cache) remember(key, hash string) {
	f, err := os.OpenFile(c.path(key)+diedMark, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(hash + "\n")
	_ = f.Close()
}

// died says whether processes of this machine die of the program.
func (c *Cache) died(key, hash string) bool {
	notes, err := os.ReadFile(c.path(key) + diedMark)
	return err == nil && strings.Count(string(notes), hash) > 1
}

// hashes is the file that remembers hashes of plugins.
func (c *Cache) hashes() string {
	if c == nil {
		return ""
	}
	return filepath.Join(c.dir, "plugins.json")
}
