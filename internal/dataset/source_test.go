package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/sudoku"
)

func writeFile(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t *testing.T, data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t *testing.T, data []byte) []byte {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(data, nil)
}

type closerFunc func()

func (f closerFunc) Close() error { f(); return nil }

// bucketWith is an Opener of a bucket with the objects.
func bucketWith(t *testing.T, objects map[string][]byte) (blob.Bucket, Opener) {
	t.Helper()
	b := mem.New(nil)
	for k, v := range objects {
		if _, err := blob.PutBytes(context.Background(), b, k, v, blob.Any); err != nil {
			t.Fatal(err)
		}
	}
	return b, func(_ context.Context, address string) (blob.Bucket, io.Closer, error) {
		if address == "gs://bucket" {
			return b, io.NopCloser(nil), nil
		}
		rest, ok := strings.CutPrefix(address, "gs://bucket/")
		if !ok {
			return nil, nil, errors.New("unexpected address " + address)
		}
		return blob.Prefix(b, rest+"/"), io.NopCloser(nil), nil
	}
}

// Whichever way the rows come, the bytes are the same.
func TestSourcesGiveTheSameBytes(t *testing.T) {
	csv, err := os.ReadFile(csvOf(t, "x.csv", 8, nil))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, opener := bucketWith(t,
		map[string][]byte{"d/train.csv": csv, "d/train.csv.zst": zstded(t, csv), "folder/train.csv": csv, "folder/test.csv.gz": gzipped(t, csv)})
	write := func(name string, data []byte) string { return writeFile(t, filepath.Join(dir, name), data) }
	for _, ext := range []string{"train.csv", "test.csv"} {
		write("folder/"+ext, csv)
		write("packed/"+ext+".gz", gzipped(t, csv))
	}
	plain := write("a.csv", csv)
	want := ""
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"plain", Options{Source: plain, TestSource: plain}},
		{"gzip", Options{Source: write("a.csv.gz", gzipped(t, csv)), TestSource: plain, Workers: 1}},
		{"zstd", Options{Source: write("a.csv.zst", zstded(t, csv)), TestSource: plain, Workers: 3}},
		{"folder", Options{Source: filepath.Join(dir, "folder")}},
		{"folder of packed files", Options{Source: filepath.Join(dir, "packed")}},
		{"byte order mark", Options{Source: write("bom.csv", append([]byte("\ufeff"), csv...)), TestSource: plain}},
		{"gs", Options{Source: "gs://bucket/d/train.csv", TestSource: "gs://bucket/d/train.csv.zst"}},
		{"gs folder", Options{Source: "gs://bucket/folder/"}},
		{"gs folder and local", Options{Source: "gs://bucket/folder", TestSource: plain}},
		{"gs and local", Options{Source: "gs://bucket/d/train.csv.zst", TestSource: plain}},
		{"local and gs", Options{Source: plain, TestSource: "gs://bucket/d/train.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.NumAug = 2
			c.o.Seed = 4
			c.o.Opener = opener
			c.o.CacheDir = filepath.Join(dir, "cache")
			out, sum := mustBuild(t, c.o)
			type counts struct{ Train, Test, Ratings int }
			if diff := cmp.Diff(counts{8, 8, 8}, counts{sum.Train.Groups, sum.Test.Groups, len(sum.Train.Ratings)}); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
			h := mustHash(t, out)
			if want == "" {
				want = h
			}
			if h != want {
				t.Error("other bytes than from the plain file")
			}
		})
	}
}

// A list has the bytes of the CSV with its answers.
func TestListGivesTheSameBytes(t *testing.T) {
	var list strings.Builder
	var s sudoku.Solver
	for i := range 8 {
		list.WriteString(s.Generate(0, 3, uint64(i)).Question.String() + "\n")
	}
	path := writeFile(t, filepath.Join(t.TempDir(), "list.txt"), []byte(list.String()))
	a, sum := mustBuild(t, Options{Source: path, NumAug: 1})
	b, _ := mustBuild(t, Options{Source: csvOf(t, "x.csv", 8, nil), NumAug: 1})
	if mustHash(t, a) != mustHash(t, b) || sum.Train.Groups != 8 {
		t.Error("the list gives other bytes")
	}
}

// What can be read once is copied first, and the copy goes.
func TestPipesAsSources(t *testing.T) {
	csv, err := os.ReadFile(csvOf(t, "x.csv", 8, nil))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plain := writeFile(t, filepath.Join(dir, "a.csv"), csv)
	out, _ := mustBuild(t, Options{Source: plain, TestSource: plain})
	want := mustHash(t, out)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"standard input", Options{Source: "-", TestSource: plain, Stdin: bytes.NewReader(csv)}},
		{"packed standard input", Options{Source: plain, TestSource: "-", Stdin: bytes.NewReader(gzipped(t, csv))}},
		{"a pipe", Options{Source: pipe, TestSource: plain, Stdin: bytes.NewReader(nil)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.Source == pipe {
				go func() { _ = os.WriteFile(pipe, csv, 0) }()
			}
			c.o.CacheDir = filepath.Join(dir, "cache")
			out, sum := mustBuild(t, c.o)
			if mustHash(t, out) != want || sum.Source != c.o.Source {
				t.Errorf("other bytes than from the plain file, or another name: %s", sum.Source)
			}
			if left := entries(t, filepath.Join(dir, "cache", "sources", "spooled")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	// The copy has no name that a user knows.
	_, err = Build(t.Context(), Options{Source: "-", Stdin: strings.NewReader("x\n"), CacheDir: dir}, filepath.Join(dir, "set"), nil)
	if !errors.Is(err, ErrInput) || !strings.HasPrefix(err.Error(), "source -: line 1") {
		t.Error(err)
	}
}

// Whatever a file is, opening it does not wait, and what has no end is not read.
func TestOnlyRegularFilesAreSources(t *testing.T) {
	dir := t.TempDir()
	plain := csvOf(t, "x.csv", 2, nil)
	for _, name := range []string{"pipe", "folder/train.csv", "folder/test.csv"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, source, test, want string }{
		{"a pipe", filepath.Join(dir, "pipe"), "", "is a pipe, want a regular file"},
		{"a pipe in a folder", filepath.Join(dir, "folder"), "", "is a pipe, want a regular file"},
		{"a device", "/dev/zero", "", "is a device, want a regular file"},
		{"a test folder", plain, dir, "is a folder, want a regular file"},
		{"the environment", "/proc/self/environ", "", "the file is empty"},
		{"standard input", "-", "", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Build(t.Context(), Options{Source: c.source, TestSource: c.test, CacheDir: dir}, filepath.Join(dir, "set"), nil)
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "PATH") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	// Where a pipe may be read, a device without an end still may not.
	_, err := Build(t.Context(), Options{Source: "/dev/zero", Stdin: strings.NewReader(""), CacheDir: dir}, filepath.Join(dir, "set"), nil)
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "is a device") {
		t.Error(err)
	}
}

// A file that is written to between its hash and its rows gives no dataset under the old hash.
func TestSourceThatChangesIsRefused(t *testing.T) {
	path := csvOf(t, "x.csv", 40, nil)
	ctx := t.Context()
	o, err := Options{Source: path}.normal()
	if err != nil {
		t.Fatal(err)
	}
	src, err := resolve(ctx, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"appended": append(bytes.Clone(b), '\n'), "cut": b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1]} {
		writeFile(t, path, text)
		_, err = build(ctx, o, src, t.TempDir(), func(Progress) {})
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "was changed while it was read") {
			t.Errorf("%s: %v", name, err)
		}
	}
	writeFile(t, path, b)
	if _, err = build(ctx, o, src, t.TempDir(), func(Progress) {}); err != nil {
		t.Error(err)
	}
}

func TestSourcesThatCannotBeRead(t *testing.T) {
	csv, err := os.ReadFile(csvOf(t, "x.csv", 2000, nil))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string { return writeFile(t, filepath.Join(dir, name), data) }
	plain := write("a.csv", csv)
	write("half/train.csv", csv)
	_, opener := bucketWith(t, nil)
	for _, c := range []struct {
		name, source, test string
		options            bool
		want               []string
	}{
		{"missing", filepath.Join(dir, "no.csv"), "", true, []string{"no.csv", "a CSV file"}},
		{"missing test", plain, filepath.Join(dir, "no.csv"), true, []string{"test source", "no.csv"}},
		{"a folder without test.csv", filepath.Join(dir, "half"), "", false, []string{"half", "no test.csv"}},
		{"empty", write("empty.csv", nil), "", false, []string{"empty.csv", "the file is empty"}},
		{"cut gzip", write("cut.csv.gz", gzipped(t, csv)[:9000]), "", false, []string{"cut.csv.gz", "after line", "unexpected EOF"}},
		{"cut zstd", write("cut.csv.zst", zstded(t, csv)[:9000]), "", false, []string{"cut.csv.zst", "unexpected EOF"}},
		{"no gzip", write("no.csv.gz", csv), "", false, []string{"no.csv.gz", "gzip"}},
		{"no zstd", write("no.csv.zst", csv), "", false, []string{"no.csv.zst", "magic number"}},
		{"no object", "gs://bucket/d/none.csv", "", false, []string{"gs://bucket/d/none.csv", "no such object", "train.csv"}},
		{"no test object", plain, "gs://bucket/d/none.csv", false, []string{"gs://bucket/d/none.csv", "no such object"}},
		{"no repository", "hf:sudoku", "", true, []string{"hf:owner/name"}},
		{"minimal with a file", plain, "", true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			o := Options{Source: c.source, TestSource: c.test, Opener: opener, CacheDir: filepath.Join(dir, "cache"),
				Minimal: c.name == "minimal with a file"}
			_, err := Build(context.Background(), o, filepath.Join(parent, "set"), nil)
			if !errors.Is(err, ErrInput) || errors.Is(err, ErrOptions) != c.options {
				t.Fatalf("error %v, want one of the user's, of the options: %v", err, c.options)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if names := entries(t, parent); len(names) != 0 {
				t.Errorf("left behind: %v", names)
			}
		})
	}
}

// The copy of an object is checked; a new generation is fetched.
func TestObjectsAreCachedByContents(t *testing.T) {
	ctx := context.Background()
	first, err := os.ReadFile(csvOf(t, "x.csv", 6, nil))
	if err != nil {
		t.Fatal(err)
	}
	b, opener := bucketWith(t, map[string][]byte{"d/x.csv": first})
	gets := 0
	opened := 0 // and not closed
	counting := func(ctx context.Context, address string) (blob.Bucket, io.Closer, error) {
		inner, _, err := opener(ctx, address)
		opened++
		return countingBucket{inner, &gets}, closerFunc(func() { opened-- }), err
	}
	defer func() {
		if opened != 0 {
			t.Errorf("%d buckets were left open", opened)
		}
	}()
	o := Options{Source: "gs://bucket/d/x.csv", Opener: counting, CacheDir: t.TempDir()}
	a, sum := mustBuild(t, o)
	want := mustHash(t, a)
	check := func(what string, wantGets int) {
		t.Helper()
		if out, _ := mustBuild(t, o); mustHash(t, out) != want || gets != wantGets {
			t.Errorf("%s: fetched %d times, want %d; the bytes differ: %v", what, gets, wantGets, mustHash(t, out) != want)
		}
	}
	check("again", 1)
	store := mem.New(nil)
	for _, wantBuilt := range []bool{true, false} {
		host := o
		host.CacheDir = ""
		d, err := Ensure(ctx, store, host, t.TempDir(), nil)
		if err != nil || d.Built != wantBuilt || mustHash(t, d.Dir) != want || gets != 2 {
			t.Errorf("a host: built %v, fetched %d times, %v", d.Built, gets, err)
		}
	}
	dir := filepath.Join(o.CacheDir, "sources", "objects")
	for _, name := range entries(t, dir) {
		if !strings.HasPrefix(name, ".") {
			writeFile(t, filepath.Join(dir, name), bytes.Replace(first, []byte("test3"), []byte("test4"), 1))
		}
	}
	check("a damaged copy", 3)
	if _, err := blob.PutBytes(ctx, b, "d/x.csv", bytes.Join(bytes.SplitAfter(first, []byte("\n"))[:4], nil), blob.Any); err != nil {
		t.Fatal(err)
	}
	if _, now := mustBuild(t, o); now.Train.Groups != 3 || now.TrainSHA256 == sum.TrainSHA256 || gets != 4 {
		t.Errorf("after a new generation: %d puzzles, fetched %d times", now.Train.Groups, gets)
	}
}

type countingBucket struct {
	blob.Bucket
	gets *int
}

func (b countingBucket) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	*b.gets++
	return b.Bucket.Get(ctx, key, generation)
}
