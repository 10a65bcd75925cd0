package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// stateEntries are what a state folder may hold, as patterns of names.
var stateEntries = []string{
	"devstack.lock", "devstack.json", "devstack.json.*", upFile, "temporal.db", "temporal.db-wal", "temporal.db-shm",
	"temporal.version.json", "temporal.version.json.*", "gcs", "cache", "store", "logs", "sweeps",
}

func newForgetCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Delete the state folder: histories, checkpoints, results, datasets, logs",
		Long: `Delete the state folder: histories, checkpoints, results, datasets, logs. It
refuses while a stack runs on the folder, and any folder that is not one.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			bytes, err := forgetState(a.stateDir)
			missing, empty := errors.Is(err, fs.ErrNotExist), errors.Is(err, errNothing)
			nothing := missing || empty
			if err != nil && !nothing {
				return err
			}
			switch {
			case asJSON:
				return json.NewEncoder(a.stdout).Encode(map[string]any{"state": a.stateDir, "action": "forget", "done": !nothing, "bytes": bytes})
			case missing:
				fmt.Fprintf(a.stdout, "nothing to forget: no folder %s\n", a.stateDir)
			case empty:
				fmt.Fprintf(a.stdout, "nothing to forget: %s is empty\n", a.stateDir)
			default:
				fmt.Fprintf(a.stdout, "forgot %s, %.1f MB\n", a.stateDir, float64(bytes)/1e6)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// errNothing: the folder is empty. Whose it is nobody knows, so it stays.
var errNothing = errors.New("the folder is empty")

// forgetState deletes a state folder and returns its size in bytes. A folder
// without the mark of the embedded stack, or with anything else in it, stays whole.
func forgetState(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			return 0, usagef("forget %s: not a folder", dir)
		}
		return 0, err
	}
	marked := false
	var strange []string
	for _, e := range entries {
		marked = marked || e.Name() == "devstack.lock"
		if !stateEntry(e.Name()) {
			strange = append(strange, e.Name())
		}
	}
	switch {
	case len(entries) == 0:
		return 0, errNothing
	case !marked:
		return 0, usagef("forget %s: not a state folder (no devstack.lock in it): nothing was deleted", dir)
	case len(strange) > 0:
		return 0, usagef("forget %s: it also holds %s, which trmsweep did not write: nothing was deleted; move that elsewhere first", dir, strings.Join(strange, ", "))
	}
	held, err := heldBySomeone(filepath.Join(dir, upFile))
	var lock *os.File
	if err == nil && !held {
		lock, err = holdState(dir, 0)
	}
	if held || errors.Is(err, errHeld) {
		return 0, fmt.Errorf("forget %s: a stack runs on it: stop it first (`trmsweep down --state %s`, or Ctrl-C where it was started)", dir, dir)
	}
	if err != nil {
		return 0, fmt.Errorf("forget %s: %w", dir, err)
	}
	defer lock.Close()
	size, err := folderBytes(dir)
	if err != nil {
		return 0, fmt.Errorf("forget %s: %w", dir, err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return 0, fmt.Errorf("forget %s: %w", dir, err)
		}
	}
	return size, os.Remove(dir)
}

func stateEntry(name string) bool {
	for _, pattern := range stateEntries {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

func folderBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
