package aot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// cacheFormat is a part of every key. It must be raised when the content of entries, or the way of compiling, changes.
const cacheFormat = 1

// Cache stores the results of compilations in a folder, one file for each program, libtpu and topology.
type Cache struct{ Dir string }

// entry is the content of a file of the cache.
type entry struct {
	Format   int      `json:"format"`
	Topology string   `json:"topology"`
	Library  string   `json:"libtpu_sha256"`
	Program  string   `json:"program"` // key of the program
	Compiled Compiled `json:"compiled"`
}

// CacheKey identifies a compilation by the program, the compiler, its flags in the environment, and the topology.
func CacheKey(program, library, topology string) string {
	parts := []any{cacheFormat, program, library, topology, os.Getenv("LIBTPU_INIT_ARGS"), os.Getenv("XLA_FLAGS")}
	text, _ := json.Marshal(parts) // cannot fail for numbers and strings
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Get returns the result of a compilation. It returns false if there is none or if its file is damaged or belongs to another one.
func (c Cache) Get(program, library, topology string) (Compiled, bool) {
	e, ok := read(c.path(program, library, topology))
	same := ok && e.Program == program && e.Library == library && e.Topology == topology
	return e.Compiled, same
}

// read reads a file of the cache. It returns false unless the file is complete and of this format.
func read(path string) (e entry, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return e, false
	}
	err = json.Unmarshal(data, &e)
	return e, err == nil && e.Format == cacheFormat
}

// Put stores the result of a compilation. Another process may store the same one at the same time.
func (c Cache) Put(program, library, topology string, compiled Compiled) error {
	data, err := json.MarshalIndent(entry{cacheFormat, topology, library, program, compiled}, "", " ")
	if err != nil {
		return fmt.Errorf("keep a compilation: %w", err)
	}
	path := c.path(program, library, topology)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep a compilation: %w", err)
	}
	if err := renameio.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("keep a compilation: %w", err)
	}
	return nil
}

func (c Cache) path(program, library, topology string) string {
	return filepath.Join(c.Dir, CacheKey(program, library, topology)+".json")
}

// HashFile returns the SHA-256 of a file in hexadecimal.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Empty says whether the cache has no entry.
func (c Cache) Empty() bool {
	paths, _ := filepath.Glob(filepath.Join(c.Dir, "*.json"))
	return len(paths) == 0
}
