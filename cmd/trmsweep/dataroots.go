package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
)

// addDataRoot adds the flag that says which files of this host workflows may name.
func addDataRoot(cmd *cobra.Command, roots *[]string) {
	cmd.Flags().StringArrayVar(roots, "data-root", nil,
		"`folder` (or file) below which a workflow's data_source may lie on this host (repeatable); "+
			"a source of the configuration or of TRMSWEEP_SET_DATA_SOURCE may be used anyway")
}

// dataRoots are the folders of --data-root, and the sources that the worker's own
// configuration and environment name: whoever wrote those may read them.
func dataRoots(cfg fs.FS, environ, flags []string) ([]string, error) {
	var roots []string
	for _, root := range flags {
		if _, err := os.Stat(root); err != nil {
			return nil, usagef("--data-root: %w", err)
		}
		abs, err := filepath.Abs(root)
		if err != nil {
			return nil, fmt.Errorf("--data-root %s: %w", root, err)
		}
		roots = append(roots, abs)
	}
	profiles, err := experiment.Profiles(cfg)
	if err != nil {
		return nil, err
	}
	names, err := experiment.Experiments(cfg)
	if err != nil {
		return nil, err
	}
	for _, p := range profiles {
		for _, name := range names {
			s, err := experiment.Resolve(cfg, name, p, nil, environ)
			if err != nil {
				continue // whoever starts it is told
			}
			if dataset.IsLocal(s.DataSource) && !slices.Contains(roots, s.DataSource) {
				roots = append(roots, s.DataSource)
			}
		}
	}
	return roots, nil
}
