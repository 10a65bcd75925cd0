package backendtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// FakePlugin builds the PJRT plugin of testdata/fakeplugin, which fails in the ways that its environment asks for, and
// returns the folder to put into PJRT_PLUGIN_LIBRARY_PATH: there the plugin is xla:NAME. Without a C compiler the test
// is skipped, or fails if XLA is required.
func FakePlugin(t testing.TB, name string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv(requireEnv) == "1" {
			t.Fatalf("the fake plugin needs a C compiler: %v", err)
		}
		t.Skipf("NOT RUN: the fake plugin needs a C compiler: %v", err)
	}
	_, here, _, _ := runtime.Caller(0)
	backend := filepath.Dir(filepath.Dir(here))
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), cc, "-shared", "-fPIC", "-I", filepath.Join(backend, "..", "pjrt"),
		"-o", filepath.Join(dir, "pjrt_c_api_"+name+"_plugin.so"), filepath.Join(backend, "testdata", "fakeplugin", "fake.c")).CombinedOutput()
	if err != nil {
		t.Fatalf("build the fake plugin: %v\n%s", err, out)
	}
	return dir
}
