package backend

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/gomlx/backends"
	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/plugins"
)

// write puts a plugin file of that name into a new folder.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// library is an ELF file that is whole and no plugin: this test.
func library(t *testing.T) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestUnavailableIsAnError(t *testing.T) {
	t.Setenv(pathEnv, t.TempDir())
	whole := library(t)
	for name, c := range map[string]struct{ backend, message string }{
		"unknown":    {"tensorflow", "known: auto"},
		"no plugin":  {"xla", "say which plugin"},
		"not there":  {"xla:none-such", "none-such"},
		"no file":    {"xla:/none/such.so", "/none/such.so"},
		"folder":     {"xla:" + t.TempDir(), ""},
		"text":       {"xla:" + write(t, "pjrt_c_api_broken_plugin.so", []byte("no plugin")), "pjrt_c_api_broken_plugin.so"},
		"cut":        {"xla:" + write(t, "pjrt_c_api_cut_plugin.so", whole[:len(whole)/2]), "pjrt_c_api_cut_plugin.so"},
		"head only":  {"xla:" + write(t, "pjrt_c_api_head_plugin.so", whole[:4096]), "pjrt_c_api_head_plugin.so"},
		"no symbol":  {"xla:" + write(t, "pjrt_c_api_other_plugin.so", whole), "pjrt_c_api_other_plugin.so"},
		"no options": {"xla:none-such,tf32", "none-such"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := New(c.backend, 0)
			if !errors.Is(err, ErrUnavailable) {
				t.Fatalf("New(%q) = %v, want ErrUnavailable", c.backend, err)
			}
			if !registered("xla") && strings.HasPrefix(c.backend, "xla") { // built without cgo
				c.message = "not built into this program"
			}
			if !strings.Contains(err.Error(), c.message) {
				t.Errorf("New(%q): %v; want %q in it", c.backend, err, c.message)
			}
		})
	}
}

// TestDamagedPluginOnTheWay: a plugin that was cut short is reported, and keeps nobody from the CPU.
func TestDamagedPluginOnTheWay(t *testing.T) {
	whole := library(t)
	path := write(t, "pjrt_c_api_tpu_plugin.so", whole[:len(whole)*3/4])
	t.Setenv(pathEnv, "/none/such"+string(os.PathListSeparator)+filepath.Dir(path))
	b, info, err := New("auto", 0)
	if err != nil || info.Name != "cpu" {
		t.Fatalf("auto: %+v, %v", info, err)
	}
	b.Finalize()
	_, _, err = New("xla:tpu", 0)
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("xla:tpu: %v", err)
	}
	if registered("xla") && !strings.Contains(err.Error(), path) {
		t.Errorf("xla:tpu: %v", err)
	}
	found := Plugins()
	if len(found) != 1 {
		t.Fatalf("%d plugins, want 1", len(found))
	}
	type facts struct {
		Name, Path string
		Damaged    bool
	}
	if diff := cmp.Diff(facts{"tpu", path, true}, facts{found[0].Name, found[0].Path, found[0].Err != nil}); diff != "" {
		t.Errorf("the plugin (-want +got):\n%s", diff)
	}
}

func TestAutoAndGo(t *testing.T) {
	t.Setenv(pathEnv, t.TempDir())
	for _, name := range []string{"auto", "go"} {
		b, info, err := New(name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if info.Name == "auto" || info.Devices < 1 || len(info.DeviceNames) != info.Devices {
			t.Errorf("New(%q): %+v", name, info)
		}
		b.Finalize()
	}
}

// TestBadConstructors: what a plugin may do when it is opened becomes an error.
func TestBadConstructors(t *testing.T) {
	old := patience
	patience = 50 * time.Millisecond
	defer func() { patience = old }()
	never := make(chan bool)
	defer close(never)
	for name, make := range map[string]backends.Constructor{
		"panics":  func(string) (backends.Backend, error) { panic("nil plugin") },
		"nothing": func(string) (backends.Backend, error) { return nil, nil },
		"hangs":   func(string) (backends.Backend, error) { <-never; return nil, nil },
	} {
		if _, err := patiently(t.Context(), func() (backends.Backend, error) { return make("") }, patience); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPluginNames(t *testing.T) {
	for path, want := range map[string]string{
		"/x/pjrt_c_api_cuda_plugin.so": "cuda", "/x/pjrt-plugin-tpu.so": "tpu", "pjrt_plugin_cpu.so": "cpu",
	} {
		if got := pluginName(path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

func TestCUDAFilesBesideThePlugin(t *testing.T) {
	root := t.TempDir()
	plugin := filepath.Join(root, "jax_plugins", "xla_cuda12", "xla_cuda_plugin.so")
	nvcc := filepath.Join(root, "nvidia", "cuda_nvcc")
	if err := errors.Join(os.MkdirAll(filepath.Dir(plugin), 0o700), os.MkdirAll(nvcc, 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPJRT_CUDA_CHECKS", "")
	t.Setenv("XLA_FLAGS", "--xla_a=1")
	prepareCUDA(plugin)
	if got, want := os.Getenv("XLA_FLAGS"), "--xla_a=1 --xla_gpu_cuda_data_dir="+nvcc; got != want {
		t.Errorf("XLA_FLAGS %q, want %q", got, want)
	}
	if os.Getenv("GOPJRT_CUDA_CHECKS") != "0" {
		t.Error("go-xla's own folder would be set")
	}
}

func TestAccelerated(t *testing.T) {
	t.Setenv(pathEnv, t.TempDir())
	for name, want := range map[string]bool{"cpu": false, "go": false, "xla:cpu": false, "xla:tpu": true, "xla:cuda,x=1": true} {
		if got := Accelerated(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestInstalledPlugins: what `trmsweep backend install` has put into the user's cache is found, unless the environment names another.
func TestInstalledPlugins(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	t.Setenv(plugins.DirEnv, dir)
	t.Setenv(pathEnv, other)
	t.Setenv("TPU_LIBRARY_PATH", "")
	installed := map[string]string{}
	for _, p := range plugins.Known {
		path := p.Path(dir)
		installed[p.Name()] = path
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("cut"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := Find("cpu"); err == nil || !strings.Contains(err.Error(), "backend install xla:cpu") {
		t.Errorf("with %s: %+v, %v", pathEnv, p, err)
	}
	_ = os.Unsetenv(pathEnv) // t.Setenv puts it back
	for name, path := range installed {
		if p, err := Find(name); err != nil || p.Path != path || p.Err == nil {
			t.Errorf("%s: %+v, %v; want %s, which is damaged", name, p, err, path)
		}
	}
	mine := write(t, "libtpu.so", []byte("mine"))
	t.Setenv("TPU_LIBRARY_PATH", mine)
	if p, err := Find("tpu"); err != nil || p.Path != mine {
		t.Errorf("TPU_LIBRARY_PATH: %+v, %v", p, err)
	}
	if _, err := Find("other"); err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("%v", err)
	}
}

// TestCompilerWithoutTPU: libtpu may be installed for its compiler; "auto" does not wait for the TPU of a machine without one.
func TestCompilerWithoutTPU(t *testing.T) {
	root := t.TempDir()
	old := thisHost
	defer func() { thisHost = old }()
	thisHost.Root = root
	t.Setenv(plugins.DirEnv, t.TempDir())
	t.Setenv("TPU_LIBRARY_PATH", write(t, "libtpu.so", library(t)))
	t.Setenv(pathEnv, "")
	_ = os.Unsetenv(pathEnv) // t.Setenv puts it back
	p, err := Find("tpu")
	if none := p.NoDevice(); err != nil || !errors.Is(none, ErrNoDevice) {
		t.Fatalf("without a chip: %v, %v", err, none)
	}
	if registered("xla") {
		_, info, err := New("auto", 0)
		if err != nil || len(info.Skipped) == 0 || !strings.Contains(info.Skipped[0], "no chip in /dev") {
			t.Errorf("auto: %+v, %v", info, err)
		}
	}
	if err := (Plugin{Name: "tpu", Path: "/x/pjrt_c_api_tpu_plugin.so"}).NoDevice(); err != nil {
		t.Errorf("another library: %v", err)
	}
	chip := filepath.Join(root, "dev", "accel0")
	if err := errors.Join(os.Mkdir(filepath.Dir(chip), 0o700), os.WriteFile(chip, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := p.NoDevice(); err != nil {
		t.Errorf("with a chip: %v", err)
	}
}
