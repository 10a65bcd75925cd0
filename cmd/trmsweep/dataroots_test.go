package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"trmsweep/configs"
)

// The worker may read what its own configuration names, and what it was given.
func TestDataRoots(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, c := range []struct {
		name           string
		environ, flags []string
		want           []string
	}{
		{"nothing of this host", nil, nil, nil},
		{"a flag", nil, []string{"."}, []string{dir}},
		{"the environment", []string{"TRMSWEEP_SET_DATA_SOURCE=/data/x.csv"}, []string{dir}, []string{dir, "/data/x.csv"}},
		{"the environment names a bucket", []string{"TRMSWEEP_SET_DATA_SOURCE=gs://b/x.csv"}, nil, nil},
	} {
		got, err := dataRoots(configs.FS, c.environ, c.flags)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v", c.name, got, err, c.want)
		}
	}
	for _, command := range []string{"worker", "up", "run"} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{command, "--state", dir, "--data-root", filepath.Join(dir, "none")}, &out, &errs)
		if code != exitUsage || !bytes.Contains(errs.Bytes(), []byte("--data-root")) {
			t.Errorf("%s: exit %d, %s", command, code, errs.String())
		}
	}
}
