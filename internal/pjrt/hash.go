package pjrt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// fileHash is the hash of a file with the file's properties at that time.
type fileHash struct {
	Path    string    `json:"path"`
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mod_time"`
	SHA256  string    `json:"sha256"`
}

var (
	hashMu sync.Mutex
	hashes = map[string]fileHash{}
)

// hashFile returns the SHA-256 of a file in hexadecimal. A file of hundreds of megabytes is
// read only once for each size and modification time: by this process, and by all
// processes that share the file `remember` ("" for none).
func hashFile(path, remember string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	now := fileHash{Path: path, Size: info.Size(), ModTime: info.ModTime().UTC()}
	same := func(h fileHash) bool {
		return h.Size == now.Size && h.ModTime.Equal(now.ModTime) && len(h.SHA256) == 2*sha256.Size
	}
	hashMu.Lock()
	defer hashMu.Unlock()
	if h := hashes[path]; same(h) {
		return h.SHA256, nil
	}
	kept := map[string]fileHash{}
	if remember != "" {
		if data, err := os.ReadFile(remember); err == nil {
			_ = json.Unmarshal(data, &kept) // hashes that cannot be parsed are computed again
		}
	}
	if h := kept[path]; same(h) {
		hashes[path] = h
		return h.SHA256, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	now.SHA256 = hex.EncodeToString(sum.Sum(nil))
	hashes[path] = now
	if remember != "" {
		kept[path] = now
		if data, err := json.Marshal(kept); err == nil {
			_ = writeAtomically(remember, data) // if it fails, the hash is computed again next time
		}
	}
	return now.SHA256, nil
}

// newPrefix begins the names of files that are being written.
const newPrefix = ".new-"

// writeAtomically replaces a file by one that only its owner can read. Files that a process leaves behind when it
// dies have a name that the cache knows and removes; that is the reason not to use github.com/google/renameio.
func writeAtomically(path string, parts ...[]byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), newPrefix+"*")
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err = f.Write(part); err != nil {
			break
		}
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
