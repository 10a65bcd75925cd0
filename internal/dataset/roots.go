package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// IsLocal says whether a source is a file or folder of this host.
func IsLocal(source string) bool {
	for _, scheme := range []string{gsScheme, hubScheme, SourceGenerate + ":"} {
		if strings.HasPrefix(source, scheme) {
			return false
		}
	}
	return source != SourceGenerate
}

// CheckRoots returns an error if a source of this host lies outside the roots, even if only
// a symbolic link leads outside. It protects the host from sources that other people name:
// permission to start a workflow must not give access to this host's files. A root is a
// folder or a single file.
func CheckRoots(source string, roots []string) error {
	if source == "" || !IsLocal(source) { // such a source reads no local file
		return nil
	}
	for _, path := range sourceFiles(source) {
		if !inRoots(path, roots) {
			return optionsf("data_source %s is not below a folder that this worker may read (%s): "+
				"start the worker with --data-root FOLDER, or use %q, hf:owner/name or gs://bucket/file.csv",
				source, rootsText(roots), SourceGenerate)
		}
	}
	return nil
}

func rootsText(roots []string) string {
	if len(roots) == 0 {
		return "it was started without --data-root"
	}
	return fmt.Sprint("--data-root ", strings.Join(roots, ", "))
}

// sourceFiles returns the source itself and, if it is a folder, the files that are read from it.
func sourceFiles(source string) []string {
	files := []string{source}
	for _, split := range []string{"train", "test"} {
		for _, ext := range csvExtensions {
			file := filepath.Join(source, split+ext)
			if _, err := os.Lstat(file); err == nil {
				files = append(files, file)
			}
		}
	}
	return files
}

func inRoots(path string, roots []string) bool {
	path = realPath(path)
	for _, root := range roots {
		rel, err := filepath.Rel(realPath(root), path)
		if err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// realPath follows all links. If the path does not exist, it follows the links of its folder.
func realPath(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	if link, err := os.Readlink(path); err == nil { // a link whose target does not exist yet
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		return filepath.Clean(link)
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(realPath(dir), filepath.Base(path))
	}
	return path
}
