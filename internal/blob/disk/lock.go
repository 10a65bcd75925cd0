package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"trmsweep/internal/blob"
)

// lockWait is the default of Bucket.lockWait: longer than a disk needs to make an object
// durable, and short enough that a waiting user soon gets an error.
const lockWait = 3 * time.Second

// lock takes the lock of the key's shard. It waits for other processes and goroutines
// until ctx ends, at most for lockWait; then it fails with blob.ErrTransient and names the
// process that has the lock. The modification time of the lock file is the last
// generation that was given to an object under this lock.
func (b *Bucket) lock(ctx context.Context, key string) (unlock func(), file *os.File, err error) {
	h := fnv.New32a()
	h.Write([]byte(key))
	path := filepath.Join(b.dir, lockDir, fmt.Sprintf("%02x", byte(h.Sum32())))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, nil, err
	}
	begin := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, nil, fmt.Errorf("lock %s (this file system may lack flock): %w", path, err)
		}
		if waited := time.Since(begin); waited > b.lockWait {
			who := holder(f)
			f.Close()
			return nil, nil, fmt.Errorf("lock %s is held by %s: %w", path, who, blob.ErrTransient)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			f.Close()
			return nil, nil, fmt.Errorf("wait for lock %s: %w", path, context.Cause(ctx))
		}
	}
}

// flock locks an open file. github.com/gofrs/flock cannot be used because it opens the file
// itself; here the file's modification time matters, and its name, which may be removed meanwhile.
func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// nextGeneration returns the current time, or the last generation plus one if the clock
// went back. It never returns the same generation twice, not even after Delete.
func (b *Bucket) nextGeneration(lock *os.File) (int64, error) {
	fi, err := lock.Stat()
	if err != nil {
		return 0, err
	}
	generation := max(b.now().UnixNano(), fi.ModTime().UnixNano()+1)
	t := time.Unix(0, generation)
	return generation, os.Chtimes(lock.Name(), t, t)
}

// sum is the checksum of one generation.
type sum struct {
	Generation int64  `json:"generation"`
	Size       int64  `json:"size"`
	CRC32C     uint32 `json:"crc32c"`
}

func (b *Bucket) sumsPath(key string) string {
	return filepath.Join(b.dir, sumsDir, filepath.FromSlash(key)+".json")
}

// readSums returns the checksums of the newest two generations, oldest first; none if the file is missing or cannot be parsed.
func (b *Bucket) readSums(key string) ([]sum, error) {
	data, err := os.ReadFile(b.sumsPath(key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var sums []sum
	if err := json.Unmarshal(data, &sums); err != nil {
		return nil, nil
	}
	return sums, nil
}

// addSum records the checksum of the generation to be written, together with that of the present generation.
func (b *Bucket) addSum(ctx context.Context, key string, s sum) error {
	sums, err := b.readSums(key)
	if err != nil {
		return err
	}
	a, _, err := b.current(key)
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	keep := []sum{}
	for _, old := range sums {
		if old.Generation == a.Generation {
			keep = append(keep, old)
		}
	}
	data, err := json.Marshal(append(keep, s))
	if err != nil {
		return err
	}
	t, err := b.temp()
	if err != nil {
		return err
	}
	defer t.discard()
	if _, err := t.f.Write(data); err != nil {
		return err
	}
	if err := t.f.Sync(); err != nil {
		return err
	}
	return b.install(t, b.sumsPath(key))
}

// temp creates a temporary file and locks it, so that sweep can see whether its process lives.
func (b *Bucket) temp() (*tempFile, error) {
	for {
		f, err := os.CreateTemp(filepath.Join(b.dir, tempDir), "put-")
		if err != nil {
			return nil, err
		}
		t := &tempFile{f, f.Name()}
		if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			if _, err := os.Lstat(t.path); err == nil {
				return t, f.Chmod(0o666 &^ umask)
			}
		}
		t.discard() // sweep of another process removed the file
	}
}

// umask is read once. It is needed because CreateTemp makes files private, whereas objects have ordinary permissions.
var umask = func() os.FileMode {
	m := syscall.Umask(0)
	syscall.Umask(m)
	return os.FileMode(m)
}()

// sweep removes temporary files of dead processes.
func (b *Bucket) sweep() error {
	dir := filepath.Join(b.dir, tempDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.Remove(f.Name())
		}
		f.Close()
	}
	return nil
}
