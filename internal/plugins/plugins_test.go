package plugins

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// member is a file of a wheel.
type member struct {
	name, data string
	mode       fs.FileMode
}

// wheelOf writes a wheel and pins it.
func wheelOf(t *testing.T, keep string, members ...member) (Wheel, string) {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(m.mode)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(m.data))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	w := Wheel{Package: "x-plugin", Version: "1.2", File: "x_plugin-1.2-py3-none-manylinux_2_27_x86_64.whl", Size: int64(buf.Len()),
		SHA256: hashOf(buf.Bytes()), Licence: "MIT", Keep: []string{keep}}
	path := filepath.Join(t.TempDir(), w.File)
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return w, path
}

// plugin is one of this machine with a small wheel, which is a file too.
func plugin(t *testing.T) (Plugin, string) {
	t.Helper()
	w, path := wheelOf(t, "x/*.so", member{"x/lib.so", strings.Repeat("library", 20_000), 0o644}, member{"x/__init__.py", "no", 0o644},
		member{"x-1.2.dist-info/licenses/LICENSE", "MIT", 0o644}, member{"x/bin/", "", 0o755 | fs.ModeDir})
	return Plugin{Backend: "xla:x", What: "a test", API: "0.1", Platform: runtime.GOOS + "/" + runtime.GOARCH, Library: "x/lib.so",
		Wheels: []Wheel{w}}, path
}

// listed are the names in a folder, all the way down.
func listed(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// fakePip is a folder whose python3 is a pip that copies files into its --dest, and writes down how it was called.
func fakePip(t *testing.T, body string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := "#!/bin/sh\n[ \"$3\" = --version ] && exit 0\necho \"$@\" > " + dir + "/called\n" +
		"while [ $# -gt 0 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, "python3"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+"/usr/bin:/bin")
	return dir
}

func TestInstall(t *testing.T) {
	p, wheel := plugin(t)
	pip := fakePip(t, "cp "+wheel+" $dest/")
	dir := filepath.Join(t.TempDir(), "new", "folder")
	res, err := p.Install(t.Context(), Options{Dir: dir})
	if err != nil || !p.Installed(dir) {
		t.Fatalf("installed %v, %v", p.Installed(dir), err)
	}
	if diff := cmp.Diff(Result{Path: p.Path(dir)}, res); diff != "" {
		t.Fatalf("the result (-want +got):\n%s", diff)
	}
	folder := filepath.Base(p.Folder(dir))
	want := ".lock " + folder + "/INSTALLED.json " + folder + "/x/lib.so " + folder + "/x-1.2.dist-info/licenses/LICENSE"
	if got := listed(t, dir); got != want {
		t.Errorf("installed %s\nwant      %s", got, want)
	}
	called, _ := os.ReadFile(filepath.Join(pip, "called"))
	for _, words := range []string{
		"-m pip download --no-deps", "--implementation py --python-version 3 --abi none --platform manylinux_2_27_x86_64 x-plugin==1.2",
	} {
		if !strings.Contains(string(called), words) {
			t.Errorf("pip was called with %s; want %s", called, words)
		}
	}

	t.Run("again", func(t *testing.T) {
		fakePip(t, "exit 1")
		if res, err := p.Install(t.Context(), Options{Dir: dir}); err != nil || !res.Already {
			t.Errorf("%+v, %v", res, err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		if err := os.Truncate(p.Path(dir), 10); err != nil {
			t.Fatal(err)
		}
		var said []string
		res, err := p.Install(t.Context(), Options{Dir: dir, Wheels: []string{wheel}, Log: func(s string) { said = append(said, s) }})
		if err != nil || res.Already {
			t.Errorf("a damaged plugin was not installed anew: already there %v, %v", res.Already, err)
		}
		if err := p.Verify(dir); err != nil {
			t.Error(err)
		}
		if len(said) != 1 || !strings.Contains(said[0], "damaged") {
			t.Errorf("said %q, want one line with damaged", said)
		}
		if got := listed(t, dir); got != want {
			t.Errorf("left behind: %s", got)
		}
	})
}

// TestNothingHalfInstalled: whatever goes wrong, the folder is as before, and the message says what to do.
func TestNothingHalfInstalled(t *testing.T) {
	p, wheel := plugin(t)
	_, other := wheelOf(t, "y", member{"y", "other", 0o644})
	elsewhere := p
	elsewhere.Platform = "plan9/mips"
	more, _ := wheelOf(t, "y", member{"y", "second", 0o644})
	twice := p
	twice.Wheels = append(p.Wheels[:1:1], more)
	bad := func(p *Plugin, keep string, m member) string {
		w, path := wheelOf(t, keep, m)
		p.Wheels = []Wheel{w}
		return path
	}
	out, link, without := p, p, p
	outFile := bad(&out, "../*/evil", member{"../../evil", "x", 0o644})
	linkFile := bad(&link, "x/*.so", member{"x/lib.so", "/etc/passwd", 0o777 | fs.ModeSymlink})
	withoutFile := bad(&without, "x/*.so", member{"x/lib.txt", "x", 0o644})
	cut := p
	cutFile := filepath.Join(t.TempDir(), "cut.whl")
	cutData := []byte("PK no zip at all")
	if err := os.WriteFile(cutFile, cutData, 0o600); err != nil {
		t.Fatal(err)
	}
	cut.Wheels = []Wheel{p.Wheels[0]}
	cut.Wheels[0].SHA256 = hashOf(cutData)
	for name, c := range map[string]struct {
		plugin  Plugin
		pip     string // its script; empty: there is no pip
		wheels  []string
		message string
	}{
		"no pip":              {p, "", nil, "no pip.*fetch x_plugin-1.2-py3-none.*whl from https://pypi.org/project/x-plugin/1.2/.*--wheel"},
		"pip fails":           {p, "echo no matching distribution >&2; exit 1", nil, "no matching distribution.*--wheel"},
		"disk full for pip":   {p, "echo \"OSError(28, 'No space left on device')\" >&2; exit 2", nil, "nothing was installed.*" + DirEnv},
		"another file by pip": {p, "cp " + other + " $dest/y-1-py3-none-any.whl", nil, "y-1-py3-none-any.whl"},
		"other bytes by pip":  {p, "cp " + other + " $dest/", nil, "[0-9a-f]{64}.*" + p.Wheels[0].SHA256},
		"another wheel":       {p, "", []string{other}, "not the pinned wheel.*[0-9a-f]{64}.*" + p.Wheels[0].SHA256},
		"both":                {p, "", []string{wheel, other}, "not the pinned wheel"},
		"wheel not there":     {p, "", []string{"/none/such.whl"}, "/none/such.whl"},
		"one of two":          {twice, "", []string{wheel}, "1 of the 2 wheels.*missing is"},
		"other platform":      {elsewhere, "", []string{wheel}, "plan9/mips only.*/absolute/path"},
		"leads out":           {out, "", []string{outFile}, "evil.*leads out"},
		"a link":              {link, "", []string{linkFile}, "not a file"},
		"library missing":     {without, "", []string{withoutFile}, `has no x/\*.so`},
		"no zip":              {cut, "", []string{cutFile}, "zip"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.pip == "" {
				t.Setenv("PATH", t.TempDir())
			} else {
				fakePip(t, c.pip)
			}
			dir := t.TempDir()
			_, err := c.plugin.Install(t.Context(), Options{Dir: dir, Wheels: c.wheels})
			if err == nil || !regexp.MustCompile(c.message).MatchString(strings.ReplaceAll(err.Error(), "\n", " ")) {
				t.Errorf("%v\nwant %s", err, c.message)
			}
			if got := strings.TrimPrefix(listed(t, dir), ".lock"); got != "" || c.plugin.Installed(dir) {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

// TestFullDisk: in a process whose files may not grow beyond 20 kB, which fails as on a full disk, nothing is installed.
func TestFullDisk(t *testing.T) {
	p, wheel := plugin(t)
	dir := os.Getenv("FULL_DISK")
	if dir == "" {
		dir = t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$")
		cmd.Env = append(os.Environ(), "FULL_DISK="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if got := listed(t, dir); got != ".lock" {
			t.Errorf("left behind: %s", got)
		}
		return
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 20_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	_, err := p.Install(t.Context(), Options{Dir: dir, Wheels: []string{wheel}})
	if err == nil || !strings.Contains(err.Error(), "nothing was installed") || !strings.Contains(err.Error(), DirEnv) {
		t.Errorf("%v", err)
	}
}

// TestKilledInstallation: what it left is nobody's plugin, and goes with the next installation.
func TestKilledInstallation(t *testing.T) {
	p, wheel := plugin(t)
	dir := t.TempDir()
	left := filepath.Join(dir, partPrefix+"1", "whole", "x")
	if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, "lib.so"), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if p.Installed(dir) {
		t.Error("half of it counts")
	}
	if _, err := p.Install(t.Context(), Options{Dir: dir, Wheels: []string{wheel}}); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, dir); strings.Contains(got, partPrefix) {
		t.Errorf("left behind: %s", got)
	}
}

// TestTwoAtOnce: the second waits for the first and finds its work done.
func TestTwoAtOnce(t *testing.T) {
	p, wheel := plugin(t)
	dir := t.TempDir()
	first := make(chan bool)
	go func() { // holds the lock until the second has said that it waits
		unlock, err := lock(context.Background(), Options{Dir: dir})
		if err != nil {
			panic(err)
		}
		first <- true
		<-first
		unlock()
	}()
	<-first
	waits := false
	res, err := p.Install(t.Context(), Options{Dir: dir, Wheels: []string{wheel}, Log: func(line string) {
		waits = strings.Contains(line, "waiting")
		first <- true
	}})
	if err != nil {
		t.Error(err)
	}
	type facts struct{ Waited, Installed, Already bool }
	if diff := cmp.Diff(facts{Waited: true, Installed: true}, facts{waits, p.Installed(dir), res.Already}); diff != "" {
		t.Errorf("the second installation (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	unlock, err := lock(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := p.Install(ctx, Options{Dir: dir, Wheels: []string{wheel}, Log: func(string) {}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("held for ever: %v", err)
	}
}

// TestKnown: the table is complete, and its keys are right.
func TestKnown(t *testing.T) {
	folders := map[string]bool{}
	for _, p := range Known {
		if got, err := Find(p.Backend); err != nil || got.Library != p.Library {
			t.Errorf("%s: %v", p.Backend, err)
		}
		if folders[p.Folder("")] || p.What == "" || p.API == "" || p.Platform == "" || len(p.Licences()) == 0 {
			t.Errorf("%+v", p)
		}
		folders[p.Folder("")] = true
		for _, w := range p.Wheels {
			args, err := w.tags()
			if err != nil || len(args) < 8 || len(w.SHA256) != 64 || w.Size < 1e6 || w.Licence == "" || len(w.Keep) == 0 {
				t.Errorf("%+v: %q, %v", w, args, err)
			}
			if want := strings.ReplaceAll(w.Package, "-", "_") + "-" + w.Version + "-"; !strings.HasPrefix(w.File, want) {
				t.Errorf("%s does not begin with %s", w.File, want)
			}
		}
	}
	_, err := Find("xla:gpu")
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "xla:cpu, xla:tpu, xla:cuda") {
		t.Errorf("%v", err)
	}
}

func TestTags(t *testing.T) {
	for file, want := range map[string]string{
		"a-1-cp311-cp311-manylinux_2_31_x86_64.whl": "--implementation cp --python-version 311 --abi cp311 --platform manylinux_2_31_x86_64",
		"a-1-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl": "--implementation py --python-version 3 --abi none " +
			"--platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64",
	} {
		got, err := Wheel{File: file}.tags()
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	if _, err := (Wheel{File: "a.whl"}).tags(); err == nil {
		t.Error("a.whl has tags")
	}
}
