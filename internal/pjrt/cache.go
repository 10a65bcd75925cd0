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

// Cache stores compiled programs, so that a process that starts again need not compile
// them: in a folder of this machine, and optionally in a Store that other machines share.
// Compiled programs are executed when they are found: anyone who can write to the folder
// or the store can run code in this process.
//
// An entry is a file whose name is its key. It consists of one line (format, key, hash and
// size of the program) and the program. Files are created whole by a rename, so that any
// number of processes may share a folder.
//
// A plugin may crash on a program instead of refusing it, while it loads the program or in
// the first execution, for example if the processor lacks instructions that the program
// uses. During both, a file KEY.trying-*, locked by the process, lies beside the entry. If
// such a file exists without a lock, its process died: the entry is removed, and the hash
// of the program is recorded in KEY.died. A program that is recorded twice is not loaded on
// this machine any more; a single death may have another cause, such as a kill. A
// successful execution clears the record. Between loading and the first execution, which
// may be hours, there is no such file: a process that is killed then says nothing about
// the program.
//
// Programs are loaded at the same time. If the process dies, every program that it was
// loading has a record, though one is to blame. So a program with a record is loaded while no
// other one is: a second record is of that program alone.
type Cache struct {
	dir     string
	max     int64
	store   Store
	log     *slog.Logger
	uploads sync.WaitGroup

	company sync.RWMutex // held while a program is loaded; by a program with a record of a death alone

	mu      sync.Mutex
	flights map[string]*flight
	bad     map[string]bool // keys whose entry was unusable: the newly compiled program replaces that of the store
	vain    map[string]bool // keys that the store was asked for in vain: it is asked once, though a start looks twice
}

// Store is the storage through which machines share compiled programs. Its methods must be safe for concurrent use.
type Store interface {
	// Get returns an error that wraps fs.ErrNotExist if there is no such name.
	Get(ctx context.Context, name string) ([]byte, error)
	// Put stores data. If the name exists, Put keeps the existing data and returns no error, unless replace is set.
	Put(ctx context.Context, name string, data []byte, replace bool) error
	Has(ctx context.Context, name string) (bool, error)
}

// CacheOptions are the options of OpenCache.
type CacheOptions struct {
	Dir      string       // folder; created if it is missing; other users must not be able to write to it
	MaxBytes int64        // limit for all entries in Dir; 0 = 4 GiB
	Store    Store        // nil = programs are not shared
	Logger   *slog.Logger // nil = slog.Default()
}

const (
	tryingMark   = ".trying-"
	diedMark     = ".died"
	cacheFormat  = "trmsweep-compiled-1"
	defaultBytes = 4 << 30
	// If the store does not answer in time, this process compiles, or other machines must.
	getTimeout = 2 * time.Minute
	putTimeout = 10 * time.Minute
	// This is the longest time to wait for another process that compiles the same program.
	compilePatience = 20 * time.Minute
)

// OpenCache creates and checks the folder. It returns an error if programs cannot be stored there safely.
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
	c := &Cache{
		dir:     o.Dir,
		max:     cmp.Or(o.MaxBytes, defaultBytes),
		store:   o.Store,
		log:     o.Logger,
		flights: map[string]*flight{},
		bad:     map[string]bool{},
		vain:    map[string]bool{},
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	return c, nil
}

// Wait waits until the programs that were compiled are in the store, or until ctx ends.
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

// closed returns an error if other users can write to a file or folder.
func closed(info fs.FileInfo) error {
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("can be written by others (mode %s)", info.Mode())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to another user (uid %d)", stat.Uid)
	}
	return nil
}

// flight is a key that goroutines of this process are working on.
type flight struct {
	mu   sync.Mutex
	want int
}

// lock excludes other goroutines of this process from the key until unlock is called.
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

// alone waits until no other process of this machine compiles for the key, so that only one of
// several processes that start together compiles. waited says that another process did; its
// program may be in the folder now. github.com/gofrs/flock is not used, since
// the file is removed while it is locked.
func (c *Cache) alone(key string) (release func(), waited bool) {
	f, err := os.OpenFile(c.path(key)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return func() {}, false
	}
	for deadline := time.Now().Add(compilePatience); ; waited = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() {
				_ = os.Remove(f.Name()) // at worst, a process that waits for the removed file compiles at the same time as another one
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

// Sources of a compiled program, see Compiled.From.
const (
	FromCompiler = "compiler"
	FromFolder   = "folder"
	FromStore    = "store"
)

// compiled is a program in the form in which the plugin serialized it.
type compiled struct {
	program []byte
	hash    string // SHA-256 of program
	from    string
}

// get returns a compiled program from the folder or the store, nil if there is none that may be loaded.
func (c *Cache) get(key string) *compiled {
	c.bury(key)
	if found, _, err := c.read(key); err == nil {
		now := time.Now()
		_ = os.Chtimes(c.path(key), now, now) // evict compares these times
		c.share(key, nil)
		found.from = FromFolder
		return found
	} else if !errors.Is(err, fs.ErrNotExist) {
		c.drop(key, err)
	}
	if c.store == nil || c.has(c.vain, key) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), getTimeout)
	defer cancel()
	var found *compiled
	entry, err := c.store.Get(ctx, key)
	if err == nil {
		found, err = c.check(key, entry)
	}
	if err != nil {
		c.set(c.vain, key)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		c.log.Warn("the store's compiled program is not used", "key", key, "error", err)
		c.set(c.bad, key)
		return nil
	}
	c.write(key, entry)
	found.from = FromStore
	return found
}

// put stores a compiled program in the folder and in the store.
func (c *Cache) put(key string, program []byte) {
	sum := hash(program)
	if c.died(key, sum) {
		return
	}
	entry := append(header(key, sum, len(program)), program...)
	c.write(key, entry)
	c.share(key, entry)
}

// drop removes an entry that cannot be used, and logs the reason.
func (c *Cache) drop(key string, why error) {
	c.log.Warn("a compiled program is dropped from the cache", "key", key, "error", why)
	c.set(c.bad, key)
	_ = os.Remove(c.path(key))
}

func (c *Cache) set(keys map[string]bool, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys[key] = true
}

func (c *Cache) has(keys map[string]bool, key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return keys[key]
}

func header(key, hash string, size int) []byte {
	return fmt.Appendf(nil, "%s %s %s %d\n", cacheFormat, key, hash, size)
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// read returns the program from the folder.
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

// check returns the program of an entry if it is complete, belongs to this key, and is not known to crash here.
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

// write puts an entry into the folder and removes the least recently used entries beyond the limit.
func (c *Cache) write(key string, entry []byte) {
	if err := writeAtomically(c.path(key), entry); err != nil {
		c.log.Warn("a compiled program is not kept", "key", key, "error", err)
		return
	}
	c.evict(key)
}

// share puts an entry into the store in the background, unless the store has a good one. A nil entry is read from the folder first.
func (c *Cache) share(key string, entry []byte) {
	if c.store == nil {
		return
	}
	replace := c.has(c.bad, key) && entry != nil
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

// evict removes the least recently used entries until the others fit the limit. It never removes `keep`.
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

// trying records that the plugin is about to load or first execute the program. lived removes the record.
// The record is locked before it has its name, which github.com/gofrs/flock cannot do: it opens files by name.
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
		err = os.Rename(f.Name(), mark) // the file gets its name after it was locked
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

// loading waits until the program of the key may be loaded; done is called when it is. See Cache.
func (c *Cache) loading(key string) (done func()) {
	if _, err := os.Stat(c.path(key) + diedMark); err == nil {
		c.company.Lock()
		return c.company.Unlock
	}
	c.company.RLock()
	return c.company.RUnlock
}

// executed clears the record of processes that died, because the program does run here.
func (c *Cache) executed(key string) { _ = os.Remove(c.path(key) + diedMark) }

// bury removes the entry if a process died while it loaded or first executed the program.
func (c *Cache) bury(key string) {
	marks, _ := filepath.Glob(c.path(key) + tryingMark + "*")
	for _, mark := range marks {
		f, err := os.Open(mark)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if hash, err := os.ReadFile(mark); err == nil { // the process did not remove the file, so it died
				c.drop(key, errors.New("a process died while it loaded or first executed it"))
				c.remember(key, string(hash))
				_ = os.Remove(mark)
			}
		}
		_ = f.Close()
	}
}

// remember records that a process died with the program.
func (c *Cache) remember(key, hash string) {
	f, err := os.OpenFile(c.path(key)+diedMark, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(hash + "\n")
	_ = f.Close()
}

// died says whether several processes of this machine died with the program.
func (c *Cache) died(key, hash string) bool {
	notes, err := os.ReadFile(c.path(key) + diedMark)
	return err == nil && strings.Count(string(notes), hash) > 1
}

// hashes returns the path of the file in which hashes of plugins are stored.
func (c *Cache) hashes() string {
	if c == nil {
		return ""
	}
	return filepath.Join(c.dir, "plugins.json")
}
