package backend

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"trmsweep/internal/plugins"
)

// Plugins are searched for here and not by GoMLX. GoMLX loads every plugin that it finds in
// order to check it: a truncated file anywhere on its path would end the process with a
// bus error.

// pathEnv is the variable that lists folders of plugins. It replaces the usual folders.
const pathEnv = "PJRT_PLUGIN_LIBRARY_PATH"

// Plugin is the file of a PJRT plugin, which drives one kind of device.
type Plugin struct {
	Name string // tpu, cuda, cpu ...
	Path string
	Err  error // reason why it cannot be loaded; nil if the file looks complete
}

// Plugins returns the plugins on this machine in the order in which Open tries them.
func Plugins() []Plugin {
	var found []Plugin
	for _, name := range []string{"tpu", "cuda", "cpu"} {
		if p, ok := findPlugin(name); ok {
			found = append(found, p)
		}
	}
	for _, dir := range pluginDirs() {
		for _, pattern := range patterns("*") {
			paths, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, path := range paths {
				name := pluginName(path)
				if !slices.ContainsFunc(found, func(p Plugin) bool { return p.Name == name }) {
					found = append(found, Plugin{name, path, checkPlugin(path)})
				}
			}
		}
	}
	return found
}

func patterns(name string) []string {
	return []string{"pjrt_c_api_" + name + "_plugin.so", "pjrt-plugin-" + name + ".so", "pjrt_plugin_" + name + ".so",
		"pjrt_c_api_" + name + "_plugin.dylib", "pjrt-plugin-" + name + ".dylib"}
}

func pluginName(path string) string {
	name := filepath.Base(path)
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".so"), ".dylib")
	for _, prefix := range []string{"pjrt_c_api_", "pjrt-plugin-", "pjrt_plugin_"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return strings.TrimSuffix(name, "_plugin")
}

// pluginDirs returns the folders that are searched for plugins by their PJRT names.
func pluginDirs() []string {
	if list, ok := os.LookupEnv(pathEnv); ok {
		return filepath.SplitList(list)
	}
	var dirs []string
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".local/lib/go-xla"))
	}
	dirs = append(dirs, "/usr/local/lib/go-xla")
	for _, dir := range filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return append(dirs, "/usr/local/lib", "/usr/lib", "/lib")
}

// packaged returns the paths at which the vendors' Python packages install their plugins.
func packaged(name string) []string {
	inner := map[string]string{"tpu": "libtpu/libtpu.so", "cuda": "jax_plugins/xla_cuda1[0-9]/xla_cuda_plugin.so"}[name]
	if inner == "" || os.Getenv(pathEnv) != "" {
		return nil
	}
	var paths []string
	if name == "tpu" {
		paths = append(paths, "/usr/lib/libtpu.so", "/lib/libtpu.so")
	}
	roots := []string{os.Getenv("VIRTUAL_ENV"), "/usr/local", "/usr"}
	if home, err := os.UserHomeDir(); err == nil {
		roots = slices.Insert(roots, 1, filepath.Join(home, ".local"))
	}
	for _, root := range roots {
		for _, packages := range []string{"site-packages", "dist-packages"} {
			if root != "" {
				paths = append(paths, filepath.Join(root, "lib/python3*", packages, inner))
			}
		}
	}
	return paths
}

// installed returns the paths at which `trmsweep backend install` puts the plugin with this name.
func installed(name string) []string {
	p, err := plugins.Find("xla:" + name)
	if err != nil {
		return nil
	}
	if _, ok := os.LookupEnv(pathEnv); ok {
		return nil
	}
	dir, err := plugins.Dir()
	if err != nil {
		return nil
	}
	return []string{p.Path(dir)}
}

// Find returns the plugin of `xla:name`, even if its file is damaged. If there is none, the error says how to get it.
func Find(name string) (Plugin, error) {
	p, ok := findPlugin(name)
	if !ok {
		return p, missing(name)
	}
	return p, nil
}

// findPlugin returns the first plugin with this name, even if its file is damaged.
func findPlugin(name string) (Plugin, bool) {
	var places []string
	if path := os.Getenv("TPU_LIBRARY_PATH"); name == "tpu" && path != "" {
		if _, ok := os.LookupEnv(pathEnv); !ok {
			places = append(places, path)
		}
	}
	places = append(places, installed(name)...)
	for _, dir := range pluginDirs() {
		for _, pattern := range patterns(name) {
			places = append(places, filepath.Join(dir, pattern))
		}
	}
	for _, place := range append(places, packaged(name)...) {
		if paths, _ := filepath.Glob(place); len(paths) > 0 {
			path := paths[len(paths)-1] // the newest Python or CUDA
			return Plugin{name, path, checkPlugin(path)}, true
		}
	}
	return Plugin{Name: name}, false
}

// Accelerated says whether the backend would train outside the host's memory, as far as that is known without opening it.
func Accelerated(name string) bool {
	if name == "auto" || name == "" {
		return slices.ContainsFunc(Plugins(), func(p Plugin) bool {
			accelerator := p.Name == "tpu" || p.Name == "cuda"
			return p.Err == nil && accelerator && p.NoDevice() == nil
		})
	}
	return strings.HasPrefix(name, "xla:") && !strings.Contains(name, "cpu")
}

// missing returns an error that says how to get a plugin.
func missing(name string) error {
	hint := ""
	if p, err := plugins.Find("xla:" + name); err == nil {
		hint = fmt.Sprintf("; `trmsweep backend install %s` installs it", p.Backend)
	}
	var looked []string
	for _, path := range installed(name) {
		looked = append(looked, filepath.Dir(path))
	}
	return fmt.Errorf("no PJRT plugin %q on this machine%s; looked for pjrt_c_api_%s_plugin.so and the like in %s "+
		"(%s changes that; xla:/absolute/path names a file)",
		name, hint, name, strings.Join(append(looked, pluginDirs()...), ", "), pathEnv)
}

// ErrNoDevice says that the plugin exists but the machine has no device for it.
var ErrNoDevice = errors.New("no such device on this machine")

// NoDevice returns ErrNoDevice for Google's libtpu on a machine without a TPU. libtpu may be
// installed only for its compiler; opening it would ask the network for its TPU for minutes.
func (p Plugin) NoDevice() error {
	if filepath.Base(p.Path) == "libtpu.so" && len(thisHost.Devices()) == 0 {
		return fmt.Errorf("%w: no chip in /dev (accel*, vfio/*) for %s", ErrNoDevice, p.Path)
	}
	return nil
}

// checkPlugin reads enough of a file to know that loading it is safe: the file is complete,
// it is for this processor, and it has the entry point of PJRT.
func checkPlugin(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if runtime.GOOS != "linux" {
		return nil
	}
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is damaged or not a shared library: %w", path, err)
	}
	defer f.Close()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]; want != 0 && f.Machine != want {
		return fmt.Errorf("%s is for another processor (%s)", path, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Off+p.Filesz > uint64(info.Size()) {
			return fmt.Errorf("%s is cut short: it has %d bytes, its header speaks of %d; install it again", path, info.Size(), p.Off+p.Filesz)
		}
	}
	symbols, err := f.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	if err == nil && !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == "GetPjrtApi" && s.Section != elf.SHN_UNDEF }) {
		return fmt.Errorf("%s is not a PJRT plugin: it has no GetPjrtApi", path)
	}
	return nil
}

// prepareCUDA sets the variables that lead XLA to the CUDA files beside a plugin from JAX's
// packages. Otherwise go-xla v0.1.4 would set a folder of its author's machine.
func prepareCUDA(path string) {
	if !strings.Contains(strings.ToLower(path), "cuda") || os.Getenv("GOPJRT_CUDA_CHECKS") != "" {
		return
	}
	_ = os.Setenv("GOPJRT_CUDA_CHECKS", "0")
	flags := os.Getenv("XLA_FLAGS")
	if strings.Contains(flags, "xla_gpu_cuda_data_dir") {
		return
	}
	for _, up := range []string{"..", "../.."} {
		dir := filepath.Join(filepath.Dir(path), up, "nvidia", "cuda_nvcc")
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			_ = os.Setenv("XLA_FLAGS", strings.TrimSpace(flags+" --xla_gpu_cuda_data_dir="+dir))
			return
		}
	}
}
