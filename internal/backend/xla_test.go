//go:build cgo && (linux || darwin)

package backend_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	xlapjrt "github.com/gomlx/go-xla/pkg/pjrt"
	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/shapes"
	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/backend"
	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/pjrt"
)

// opened is a backend of XLA and what it has compiled.
type opened struct {
	backends.Backend
	mu       sync.Mutex
	programs []pjrt.Compiled
}

// openXLA opens XLA's CPU backend, seen as several devices. The test is skipped where there is none.
func openXLA(t *testing.T, devices int, cache *pjrt.Cache) *opened {
	t.Helper()
	path := backendtest.Info(t, backendtest.XLA(t)).Plugin
	x := &opened{}
	name := fmt.Sprintf("xla:%s,devices=%d", path, devices)
	if err := backend.Check(name); err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	var err error
	x.Backend, _, err = backend.Open(t.Context(), name, backend.Options{Cache: cache, Compiled: func(c pjrt.Compiled) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.programs = append(x.programs, c)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Finalize)
	return x
}

// from says where the programs came from, in the order of the alphabet.
func (x *opened) from() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []string
	for _, p := range x.programs {
		all = append(all, p.From)
	}
	slices.Sort(all)
	return all
}

var vector = shapes.Make(dtypes.Float32, 1024)

// sum compiles x+y and x-y on so many devices, where the sum takes x's memory.
func sum(t testing.TB, b backends.Backend, devices int) backends.Executable {
	t.Helper()
	exec, err := trySum(t, b, "sum", devices)
	if err != nil {
		t.Fatal(err)
	}
	return exec
}

// trySum is sum, with the error of the compilation.
func trySum(t testing.TB, b backends.Backend, name string, devices int) (backends.Executable, error) {
	t.Helper()
	builder := b.Builder(name)
	if devices > 1 {
		if err := builder.DistributedSPMD(devices); err != nil {
			t.Fatal(err)
		}
		if err := builder.DeviceAssignment([]backends.DeviceNum{0, 1, 2, 3}[:devices]...); err != nil {
			t.Fatal(err)
		}
	}
	x, err := builder.Parameter("x", vector, nil)
	if err != nil {
		t.Fatal(err)
	}
	y, err := builder.Parameter("y", vector, nil)
	if err != nil {
		t.Fatal(err)
	}
	plus, err := builder.Add(x, y)
	if err != nil {
		t.Fatal(err)
	}
	minus, err := builder.Sub(x, y)
	if err != nil {
		t.Fatal(err)
	}
	builder.(backend.Aliaser).Alias(0, 0)
	exec, err := builder.Compile([]backends.Op{plus, minus}, nil)
	if err == nil {
		t.Cleanup(exec.Finalize)
	}
	return exec, err
}

func upload(t testing.TB, b backends.Backend, device int, value float32) backends.Buffer {
	t.Helper()
	buf, err := b.BufferFromFlatData(backends.DeviceNum(device), slices.Repeat([]float32{value}, vector.Size()), vector)
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

// address is where a buffer of a CPU lies.
func address(t testing.TB, b backends.Buffer) uintptr {
	t.Helper()
	p, err := b.(*xlapjrt.Buffer).UnsafePointer()
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(p)
}

// want checks that all values of a buffer are one.
func want(t testing.TB, b backends.Backend, buf backends.Buffer, what string, value float32) {
	t.Helper()
	got := make([]float32, vector.Size())
	if err := b.BufferToFlatData(buf, got); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for i := range got {
		if got[i] != value {
			t.Errorf("%s: value %d is %g, want %g", what, i, got[i], value)
			return
		}
	}
}

func TestAliasSharesMemory(t *testing.T) {
	b := openXLA(t, 1, nil)
	exec := sum(t, b, 1)
	aliased := b.programs[0]
	aliased.Program, aliased.Memory.Alias = "sum", int64(vector.Memory())
	if diff := cmp.Diff(aliased, b.programs[0]); diff != "" {
		t.Errorf("program (-want +got):\n%s", diff)
	}
	x, y := upload(t, b, 0, 3), upload(t, b, 0, 2)
	kept, err := exec.Execute([]backends.Buffer{x, y}, []bool{false, false}, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := address(t, x)
	if address(t, kept[0]) == before {
		t.Error("a parameter that was not donated was used up")
	}
	want(t, b, x, "the parameter", 3)
	out, err := exec.Execute([]backends.Buffer{x, y}, []bool{true, false}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if address(t, out[0]) != before {
		t.Error("the result does not lie in the donated parameter's memory")
	}
	want(t, b, out[0], "sum", 5)
	want(t, b, out[1], "difference", 1)
	want(t, b, y, "the other parameter", 2)
}

// TestDonationOnSeveralDevices: donated on all devices a parameter's memory is used on all; one that any device keeps is kept on all.
func TestDonationOnSeveralDevices(t *testing.T) {
	const devices = 4
	b := openXLA(t, devices, nil)
	exec := sum(t, b, devices)
	for name, donated := range map[string]func(device int) bool{
		"everywhere":      func(int) bool { return true },
		"nowhere":         func(int) bool { return false },
		"on one device":   func(d int) bool { return d == 0 },
		"but on the last": func(d int) bool { return d != devices-1 },
	} {
		t.Run(name, func(t *testing.T) {
			var in []backends.Buffer
			var donate []bool
			var before []uintptr
			for d := range devices {
				in = append(in, upload(t, b, d, float32(10*d)), upload(t, b, d, 1))
				donate = append(donate, donated(d), false)
				before = append(before, address(t, in[2*d]))
			}
			out, err := exec.Execute(in, donate, 0)
			if err != nil {
				t.Fatal(err)
			}
			for d := range devices {
				on := fmt.Sprintf("device %d: ", d)
				want(t, b, out[2*d], on+"sum", float32(10*d+1))
				want(t, b, out[2*d+1], on+"difference", float32(10*d-1))
				want(t, b, in[2*d+1], on+"y", 1)
				if !donated(d) {
					want(t, b, in[2*d], on+"x, which it kept,", float32(10*d))
				}
				if used := address(t, out[2*d]) == before[d]; used != (name == "everywhere") {
					t.Errorf("%sthe memory of x was used: %v", on, used)
				}
			}
		})
	}
}

// memory is a store.
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *memory) Get(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.m[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return slices.Clone(data), nil
}

func (s *memory) Put(_ context.Context, name string, data []byte, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[name] = slices.Clone(data)
	return nil
}

func (s *memory) Has(_ context.Context, name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[name] != nil, nil
}

func openCache(t *testing.T, dir string, store pjrt.Store) *pjrt.Cache {
	t.Helper()
	cache, err := pjrt.OpenCache(pjrt.CacheOptions{Dir: dir, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// TestCompiledOnce: what one client compiled others load, from the folder or from the store, and it computes the same.
func TestCompiledOnce(t *testing.T) {
	dir, store := filepath.Join(t.TempDir(), "compiled"), &memory{m: map[string][]byte{}}
	use := func(t *testing.T, dir, from string) {
		t.Helper()
		cache := openCache(t, dir, store)
		b := openXLA(t, 1, cache)
		exec := sum(t, b, 1)
		cache.Wait(t.Context())
		if got := b.programs[0]; got.From != from || got.Memory.Alias == 0 || got.Key == "" {
			t.Errorf("the program came from %s, want %s: %+v", got.From, from, got)
		}
		x := upload(t, b, 0, 3)
		out, err := exec.Execute([]backends.Buffer{x, upload(t, b, 0, 2)}, []bool{true, false}, 0)
		if err != nil {
			t.Fatal(err)
		}
		want(t, b, out[0], "sum", 5)
		want(t, b, out[1], "difference", 1)
	}
	entry := func() string {
		entries, err := filepath.Glob(filepath.Join(dir, "????????????????????????????????????????????????????????????????"))
		if err != nil || len(entries) != 1 {
			t.Fatalf("entries %v, %v", entries, err)
		}
		return entries[0]
	}
	use(t, dir, pjrt.FromCompiler)
	use(t, dir, pjrt.FromFolder)
	if len(store.m) != 1 {
		t.Errorf("%d programs in the store", len(store.m))
	}
	use(t, filepath.Join(t.TempDir(), "other"), pjrt.FromStore)

	data, err := os.ReadFile(entry())
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(entry(), data, 0o600); err != nil {
		t.Fatal(err)
	}
	use(t, dir, pjrt.FromStore) // the damaged one was dropped
	clear(store.m)
	if err := os.Truncate(entry(), 100); err != nil {
		t.Fatal(err)
	}
	use(t, dir, pjrt.FromCompiler)
	use(t, dir, pjrt.FromFolder)

	// What is whole and not a program the plugin refuses.
	clear(store.m)
	const rubbish = "no program at all"
	entryOf := fmt.Sprintf("trmsweep-compiled-1 %s %x %d\n%s", filepath.Base(entry()), sha256.Sum256([]byte(rubbish)), len(rubbish), rubbish)
	if err := os.WriteFile(entry(), []byte(entryOf), 0o600); err != nil {
		t.Fatal(err)
	}
	use(t, dir, pjrt.FromCompiler)
	use(t, dir, pjrt.FromFolder)
}

// TestPluginThatCannotSerialize compiles everything and says once why.
func TestPluginThatCannotSerialize(t *testing.T) {
	var said bytes.Buffer
	cache, err := pjrt.OpenCache(pjrt.CacheOptions{Dir: filepath.Join(t.TempDir(), "compiled"),
		Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	plugin := filepath.Join(backendtest.FakePlugin(t, "dumb"), "pjrt_c_api_dumb_plugin.so")
	var from []string
	b, _, err := backend.Open(t.Context(), "xla:"+plugin, backend.Options{
		Cache:    cache,
		Compiled: func(c pjrt.Compiled) { from = append(from, c.From) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	sum(t, b, 1)
	sum(t, b, 1)
	once := strings.Count(said.String(), "\n") == 1 && strings.Contains(said.String(), "cannot hand out compiled programs")
	if !slices.Equal(from, []string{pjrt.FromCompiler, pjrt.FromCompiler}) || !once {
		t.Errorf("programs from %v; said\n%s", from, said.String())
	}
}

const executeEnv = "TRMSWEEP_TEST_EXECUTE"

// TestProgramThatKillsItsProcess in its first execution is not loaded for ever: the next process drops it and compiles. If it kills
// again it is not kept any more. The test is also the process that may die: it prints where its program came from.
func TestProgramThatKillsItsProcess(t *testing.T) {
	if dir := os.Getenv(executeEnv); dir != "" {
		executeFromCache(t, filepath.Join(dir, "compiled"), os.Getenv("FAKE_PJRT_PLUGIN"))
		return
	}
	for _, row := range []struct{ name, crash string }{
		{"in Execute", "crash"},
		{"while its end is awaited", "crash-later"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			plugin := filepath.Join(backendtest.FakePlugin(t, "ill"), "pjrt_c_api_ill_plugin.so")
			dir := t.TempDir()
			process := func(crash, from string, dropped int) {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProgramThatKillsItsProcess$", "-test.v")
				cmd.Env = append(os.Environ(), executeEnv+"="+dir, "FAKE_PJRT_PLUGIN="+plugin, "FAKE_PJRT_SERIALIZE=1",
					"FAKE_PJRT_EXECUTE_LOADED="+crash)
				out, err := cmd.CombinedOutput()
				dies := from == pjrt.FromFolder && crash != ""
				died := err != nil && bytes.Contains(out, []byte("SIGILL"))
				lines := bytes.Count(out, []byte("a process died while it loaded or first executed it"))
				failed := !dies && err != nil
				if dies != died || failed || !bytes.Contains(out, []byte("program from "+from)) || lines != dropped {
					t.Errorf("died %v, want %v; want the program from %s, %d dropped\n%s", died, dies, from, dropped, out)
				}
			}
			process(row.crash, pjrt.FromCompiler, 0)
			process("", pjrt.FromFolder, 0)
			process(row.crash, pjrt.FromFolder, 0) // dies
			process(row.crash, pjrt.FromCompiler, 1)
			process(row.crash, pjrt.FromFolder, 0) // dies again
			process(row.crash, pjrt.FromCompiler, 1)
			process(row.crash, pjrt.FromCompiler, 0)
		})
	}
}

// executeFromCache compiles or loads a program, and executes it twice.
func executeFromCache(t *testing.T, dir, plugin string) {
	from := func(c pjrt.Compiled) { fmt.Println("program from " + c.From) }
	b, _, err := backend.Open(t.Context(), "xla:"+plugin, backend.Options{Cache: openCache(t, dir, nil), Compiled: from})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	program := sum(t, b, 1)
	for range 2 {
		if _, err := program.Execute([]backends.Buffer{upload(t, b, 0, 3), upload(t, b, 0, 2)}, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if marks, _ := filepath.Glob(filepath.Join(dir, "*.trying-*")); len(marks) > 0 {
		t.Errorf("marks are left: %v", marks)
	}
}

// TestOneCompiles: of several goroutines that want a program one compiles it.
func TestOneCompiles(t *testing.T) {
	b := openXLA(t, 1, openCache(t, filepath.Join(t.TempDir(), "compiled"), nil))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { sum(t, b, 1) })
	}
	all.Wait()
	if got := b.from(); !slices.Equal(got, []string{pjrt.FromCompiler, pjrt.FromFolder, pjrt.FromFolder, pjrt.FromFolder}) {
		t.Errorf("programs from %v", got)
	}
}

// TestCacheOnly: programs are loaded at once by several goroutines, and one that is not in the cache is an error and compiled by nobody.
func TestCacheOnly(t *testing.T) {
	cacheOnly := func(b *opened) backends.Backend {
		return b.Backend.(interface{ CacheOnly() backends.Backend }).CacheOnly()
	}
	if b := openXLA(t, 1, nil); cacheOnly(b) != nil {
		t.Error("without a cache")
	}
	dir := filepath.Join(t.TempDir(), "compiled")
	names := []string{"one", "two", "three"}
	b := openXLA(t, 1, openCache(t, dir, nil))
	for _, name := range names {
		if _, err := trySum(t, cacheOnly(b), name, 1); err == nil || !strings.Contains(err.Error(), "not in the cache of compiled programs") {
			t.Errorf("%s, which nobody has compiled: %v", name, err)
		}
	}
	if got := b.from(); len(got) > 0 {
		t.Errorf("programs from %v", got)
	}
	for _, name := range names {
		if _, err := trySum(t, b, name, 1); err != nil {
			t.Fatal(err)
		}
	}
	later := openXLA(t, 1, openCache(t, dir, nil))
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			exec, err := trySum(t, cacheOnly(later), name, 1)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			out, err := exec.Execute([]backends.Buffer{upload(t, later, 0, 3), upload(t, later, 0, 2)}, []bool{true, false}, 0)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			want(t, later, out[0], name, 5)
		})
	}
	all.Wait()
	if got := later.from(); !slices.Equal(got, []string{pjrt.FromFolder, pjrt.FromFolder, pjrt.FromFolder}) {
		t.Errorf("programs from %v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.*")); len(left) > 1 { // plugins.json
		t.Errorf("marks are left: %v", left)
	}
}

// TestArithmeticOfXLA names the plugin by its hash and the pool by its size, and no path: hosts keep plugins in different folders.
func TestArithmeticOfXLA(t *testing.T) {
	path := backendtest.Info(t, backendtest.XLA(t)).Plugin
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	said := map[string]bool{}
	for _, threads := range []int{1, 3} {
		name := fmt.Sprintf("xla:%s,devices=2", path)
		if err := backend.Check(name); err != nil {
			t.Skipf("NOT RUN: %v", err)
		}
		b, info, err := backend.Open(t.Context(), name, backend.Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		b.Finalize()
		if !strings.HasPrefix(info.Arithmetic, "xla cpu ") || strings.Contains(info.Arithmetic, string(filepath.Separator)) {
			t.Errorf("arithmetic %q", info.Arithmetic)
		}
		if !strings.HasSuffix(info.Arithmetic, fmt.Sprintf("pool %d, devices 2", threads)) && !strings.Contains(info.Arithmetic, ", flags ") {
			t.Errorf("arithmetic %q of %d threads", info.Arithmetic, threads)
		}
		said[info.Arithmetic] = true
	}
	if len(said) != 2 {
		t.Errorf("two pools have one arithmetic: %v", said)
	}
}
