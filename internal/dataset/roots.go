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

// CheckRoots refuses a source of this host that lies outside the roots, also where a
// link leads out of them. It is for sources that somebody else names: who may start a
// workflow may not thereby read this host's files. A root is a folder, or one file.
func CheckRoots(source string, roots []string) error {
	if source == "" || !IsLocal(source) { // without a source there is nothing to read
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

// sourceFiles are the source, and what is read of it if it is a folder.
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

// realPath follows all links. What is not there has no links: of such a path, those of
// its folder are followed.
func realPath(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	if link, err := os.Readlink(path); err == nil { // to nowhere, as yet
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
