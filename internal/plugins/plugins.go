// Package plugins installs PJRT plugins, the shared libraries that drive XLA's
// devices. They are files in Python wheels: pip downloads a pinned wheel, its
// hash is checked, and the few files that are needed are unzipped. It runs only
// when a user asks for it: nothing is ever downloaded while something trains.
//
// The folder holds one subfolder for each plugin and set of wheels. It is shared
// by all state folders, and by builds that pin other wheels:
//
//	~/.cache/trmsweep/plugins/cpu-0.11.2-1319390d/INSTALLED.json, licences and the library
//
// A subfolder appears whole, by one rename, or not at all.
package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// DirEnv is the variable that names another folder than the default one in the user's cache.
const DirEnv = "TRMSWEEP_PLUGINS"

// recordFile lies in the folder of a plugin and describes the installation.
const recordFile = "INSTALLED.json"

// ErrUnknown says that there is no installable plugin of that name.
var ErrUnknown = errors.New("unknown plugin")

// Dir returns the folder of installed plugins.
func Dir() (string, error) {
	if dir := os.Getenv(DirEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for plugins: %w; %s names one", err, DirEnv)
	}
	return filepath.Join(dir, "trmsweep", "plugins"), nil
}

// Find returns the plugin for the name of a backend, or ErrUnknown.
func Find(backend string) (Plugin, error) {
	i := slices.IndexFunc(Known, func(p Plugin) bool { return p.Backend == backend })
	if i < 0 {
		var names []string
		for _, p := range Known {
			names = append(names, p.Backend)
		}
		return Plugin{}, fmt.Errorf("%w %q; those that can be installed: %s", ErrUnknown, backend, strings.Join(names, ", "))
	}
	return Known[i], nil
}

// Name returns the plugin's name in PJRT's file names: cpu, tpu or cuda.
func (p Plugin) Name() string { return strings.TrimPrefix(p.Backend, "xla:") }

// Version returns the version of the package that contains the library.
func (p Plugin) Version() string { return p.Wheels[0].Version }

// Size returns the sum of the wheels' sizes in bytes.
func (p Plugin) Size() int64 {
	var n int64
	for _, w := range p.Wheels {
		n += w.Size
	}
	return n
}

// Licences returns the distinct licences of the wheels.
func (p Plugin) Licences() []string {
	var all []string
	for _, w := range p.Wheels {
		if !slices.Contains(all, w.Licence) {
			all = append(all, w.Licence)
		}
	}
	return all
}

// Folder returns the plugin's path in the folder of plugins, whether or not it is installed.
func (p Plugin) Folder(dir string) string {
	key := hashOf([]byte(strings.Join(p.hashes(), "\n")))
	if len(p.Wheels) == 1 {
		key = p.Wheels[0].SHA256
	}
	return filepath.Join(dir, fmt.Sprintf("%s-%s-%s", p.Name(), p.Version(), key[:8]))
}

// Path returns the path of the plugin's library, whether or not it is installed.
func (p Plugin) Path(dir string) string {
	return filepath.Join(p.Folder(dir), filepath.FromSlash(p.Library))
}

// Installed says whether the plugin's folder exists. It does not read the files; Verify does.
func (p Plugin) Installed(dir string) bool {
	_, err := os.Stat(filepath.Join(p.Folder(dir), recordFile))
	return err == nil
}

// Verify reads all files of an installed plugin and compares them with the record of the installation.
func (p Plugin) Verify(dir string) error {
	folder := p.Folder(dir)
	data, err := os.ReadFile(filepath.Join(folder, recordFile))
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(folder, recordFile), err)
	}
	if _, ok := r.Files[p.Library]; !ok {
		return fmt.Errorf("%s does not list %s", filepath.Join(folder, recordFile), p.Library)
	}
	for name, want := range r.Files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if got, err := hashFile(path); err != nil {
			return err
		} else if got != want {
			return fmt.Errorf("%s is damaged: its sha256 is %s, %s was installed", path, got, want)
		}
	}
	return nil
}

func (p Plugin) hashes() []string {
	var all []string
	for _, w := range p.Wheels {
		all = append(all, w.SHA256)
	}
	return all
}

// here returns an error if the plugin is not for this machine.
func (p Plugin) here() error {
	if this := runtime.GOOS + "/" + runtime.GOARCH; p.Platform != this {
		return fmt.Errorf("%s is pinned for %s only, and this is %s: install a plugin yourself and name it, as xla:/absolute/path/plugin.so",
			p.Backend, p.Platform, this)
	}
	return nil
}

// record is the content of INSTALLED.json.
type record struct {
	Backend string            `json:"backend"`
	What    string            `json:"what"`
	API     string            `json:"pjrt_api"`
	Library string            `json:"library"`
	Wheels  []source          `json:"wheels"`
	Files   map[string]string `json:"files"` // name -> SHA-256
}

// source describes the origin of files.
type source struct {
	File    string `json:"file"`
	SHA256  string `json:"sha256"`
	Licence string `json:"licence"`
	Source  string `json:"source"`
}

// Source returns the address of the wheel's page for users.
func (w Wheel) Source() string {
	return fmt.Sprintf("https://pypi.org/project/%s/%s/#files", w.Package, w.Version)
}
