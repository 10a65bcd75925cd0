package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob/mem"
)

const hubRevision = "0123456789abcdef0123456789abcdef01234567"

// fakeHub serves one dataset as the Hub does: a redirect with the checksum to a
// storage that knows ranges.
type fakeHub struct {
	files map[string][]byte // contents
	terse bool              // says neither size nor checksum

	mu     sync.Mutex
	cut    int // this many answers end after half of what they announce
	spoil  int // this many answers have a wrong byte
	ranges []string
	asked  int // requests
}

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	resolve := "/datasets/o/n/resolve/" + hubRevision + "/"
	switch path := r.URL.Path; {
	case path == "/api/datasets/o/n/revision/main":
		fmt.Fprintf(w, `{"id": "o/n", "sha": %q}`, hubRevision)
	case strings.HasPrefix(path, resolve) && h.files[path[len(resolve):]] != nil:
		if h.terse {
			other := "http://" + strings.Replace(r.Host, "127.0.0.1", "localhost", 1)
			http.Redirect(w, r, other+"/storage/"+path[len(resolve):], http.StatusFound)
			return
		}
		sum := sha256.Sum256(h.files[path[len(resolve):]])
		w.Header().Set("X-Linked-Etag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(h.files[path[len(resolve):]])))
		http.Redirect(w, r, "/storage/"+path[len(resolve):], http.StatusFound)
	case strings.HasPrefix(path, "/storage/"):
		h.serveFile(w, r, h.files[path[len("/storage/"):]])
	default:
		http.NotFound(w, r)
	}
}

func (h *fakeHub) serveFile(w http.ResponseWriter, r *http.Request, data []byte) {
	at := 0
	if s := r.Header.Get("Range"); s != "" {
		h.ranges = append(h.ranges, s)
		fmt.Sscanf(s, "bytes=%d-", &at)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(data)-1, len(data)))
	}
	body := append([]byte(nil), data[at:]...)
	if h.spoil > 0 {
		h.spoil--
		body[len(body)/3] ^= 1
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if at > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if h.cut > 0 {
		h.cut--
		w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

// hubOf serves two CSV files; the variables of the package are quick for the test.
func hubOf(t *testing.T) (*fakeHub, *httptest.Server) {
	t.Helper()
	h := &fakeHub{files: map[string][]byte{}}
	for name, n := range map[string]int{"train.csv": 30, "test.csv": 5} {
		b, err := os.ReadFile(csvOf(t, name, n, nil))
		if err != nil {
			t.Fatal(err)
		}
		h.files[name] = b
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	t.Setenv("HF_ENDPOINT", srv.URL)
	t.Setenv("HF_TOKEN", "")
	pause := hubPause
	hubPause = time.Millisecond
	t.Cleanup(func() { hubPause = pause })
	return h, srv
}

func TestHub(t *testing.T) {
	for _, c := range []struct {
		name       string
		cut, spoil int
		source     string
		wantRanges bool
		want       string // of the error
	}{
		{"whole", 0, 0, "hf:o/n", false, ""},
		{"a pinned commit", 0, 0, "hf:o/n@" + hubRevision, false, ""},
		{"cut and resumed", 3, 0, "hf:o/n", true, ""},
		{"neither size nor checksum, cut", 2, 0, "hf:o/n@" + hubRevision, false, ""},
		{"a wrong byte once", 0, 1, "hf:o/n", false, ""},
		{"wrong bytes twice", 0, 2, "hf:o/n", false, "SHA-256"},
		{"no such set", 0, 0, "hf:o/other", false, "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := hubOf(t)
			h.cut, h.spoil, h.terse = c.cut, c.spoil, strings.HasPrefix(c.name, "neither")
			cache := t.TempDir()
			out := filepath.Join(t.TempDir(), "set")
			o := Options{Source: c.source, CacheDir: cache}
			sum, err := Build(context.Background(), o, out, nil)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "on another machine") {
					t.Fatalf("error %v, want %q and the alternative", err, c.want)
				}
				if errors.Is(err, ErrInput) != (c.want == "404") {
					t.Errorf("retryable or not: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := sha256.Sum256(h.files["train.csv"])
			type facts struct {
				Revision, TrainSHA256   string
				TrainGroups, TestGroups int
			}
			wanted := facts{hubRevision, hex.EncodeToString(want[:]), 30, 5}
			if diff := cmp.Diff(wanted, facts{sum.Revision, sum.TrainSHA256, sum.Train.Groups, sum.Test.Groups}); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
			if (len(h.ranges) > 0) != c.wantRanges {
				t.Errorf("ranges asked for: %v", h.ranges)
			}
			before := h.asked
			if _, err := Build(context.Background(), o, filepath.Join(t.TempDir(), "again"), nil); err != nil || h.asked != before {
				t.Errorf("a second build asks the Hub %d times: %v", h.asked-before, err)
			}
		})
	}
}

// A damaged download is noticed and fetched again.
func TestHubCacheIsVerified(t *testing.T) {
	h, _ := hubOf(t)
	o := Options{Source: "hf:o/n", CacheDir: t.TempDir()}
	a, _ := mustBuild(t, o)
	damaged := 0
	err := filepath.WalkDir(o.CacheDir, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "train.csv" {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b[400] ^= 1
			damaged++
			return os.WriteFile(p, b, 0o644)
		}
		return err
	})
	if err != nil || damaged != 1 {
		t.Fatalf("%d files damaged, %v", damaged, err)
	}
	before := h.asked
	b, _ := mustBuild(t, o)
	if mustHash(t, a) != mustHash(t, b) || h.asked == before {
		t.Errorf("other bytes, or not fetched again (%d requests)", h.asked-before)
	}
}

func TestNoNetwork(t *testing.T) {
	_, srv := hubOf(t)
	srv.Close()
	_, err := Build(context.Background(), Options{Source: "hf:o/n", CacheDir: t.TempDir()}, filepath.Join(t.TempDir(), "set"), nil)
	for _, want := range []string{"Hugging Face Hub", "without network", "another machine", `"generate"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if errors.Is(err, ErrInput) {
		t.Errorf("no network is the user's fault: %v", err)
	}
}

// A host that trains finds by the bucket's record what another one made of the Hub's set.
func TestEnsureNeedsTheHubOnce(t *testing.T) {
	h, srv := hubOf(t)
	ctx := context.Background()
	b := mem.New(nil)
	o := Options{Source: "hf:o/n", NumAug: 2, Seed: 5}
	first, err := Ensure(ctx, b, o, t.TempDir(), nil)
	if err != nil || !first.Built {
		t.Fatalf("built %v, %v", first.Built, err)
	}
	want := mustHash(t, first.Dir)
	sum, err := Provenance(ctx, b, first.Hash)
	if err != nil {
		t.Fatal(err)
	}
	type provenance struct {
		Revision   string
		OfRating3s int
	}
	if diff := cmp.Diff(provenance{hubRevision, 1}, provenance{sum.Revision, sum.Train.Ratings[3]}); diff != "" {
		t.Errorf("provenance (-want +got):\n%s", diff)
	}
	srv.Close()
	before := h.asked
	again, err := Ensure(ctx, b, o, t.TempDir(), nil)
	if err != nil || again.Built || again.Hash != first.Hash || mustHash(t, again.Dir) != want || h.asked != before {
		t.Errorf("another host without network: built %v, hash %s, %v", again.Built, again.Hash, err)
	}
	o.Seed++
	if _, err := Ensure(ctx, b, o, t.TempDir(), nil); err == nil {
		t.Error("another dataset came from the record")
	}
}

func TestDownloadEnds(t *testing.T) {
	h, srv := hubOf(t)
	h.cut = 1 << 20
	h.files["train.csv"] = h.files["train.csv"][:1] // halves to nothing: no progress
	d := hubFile{url: srv.URL + "/storage/train.csv", progress: func(Progress) {}}
	err := d.download(context.Background(), filepath.Join(t.TempDir(), "part"), 1)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("cut %d times", hubTries+1)) {
		t.Errorf("error %v", err)
	}
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "9")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer silent.Close()
	stall := hubStall
	hubStall = 10 * time.Millisecond
	defer func() { hubStall = stall }()
	d.url = silent.URL
	err = d.download(context.Background(), filepath.Join(t.TempDir(), "part"), 9)
	if err == nil || !strings.Contains(err.Error(), "nothing came") {
		t.Errorf("a silent Hub: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.download(ctx, filepath.Join(t.TempDir(), "part"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Names and revisions become paths: none leads out of the cache, and none is asked for.
func TestNamesOfTheHub(t *testing.T) {
	for source, ok := range map[string]bool{
		"hf:sapientinc/sudoku-extreme": true, "hf:a/b.c_d-e@main": true, "hf:a/b@refs/pr/1": true, "hf:a/b@v1.0+x": true,
		"hf:a/b@0123456789abcdef0123456789abcdef01234567": true, "hf:": false, "hf:a": false, "hf:a/b/c": false, "hf:a/..": false,
		"hf:../b": false, "hf:/b": false, "hf:a/": false, "hf:a/b@": false, "hf:a/b@../../x": false, "hf:a/b@/x": false, "hf:a/b@x//y": false,
		"hf:a/b@a/../b": false, "hf:a/b@x..y": false, "hf:a/b@.git": false, "hf:a/b@x\x00": false, "hf:a/b@x%2f..": false, "hf:a/b@x?y": false,
		"hf:a/b@x\\..": false, "hf:a/b@" + strings.Repeat("x", 300): false,
	} {
		var want error
		if !ok {
			want = ErrOptions
		}
		if _, err := (Options{Source: source}).normal(); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", source, err, want)
		}
	}
	dir := t.TempDir()
	cache := filepath.Join(dir, "state", "cache")
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; _, _ = w.Write([]byte("{}")) }))
	defer srv.Close()
	t.Setenv("HF_ENDPOINT", srv.URL)
	_, err := Build(t.Context(), Options{Source: "hf:a/b@../../../../../../outside/pwned", CacheDir: cache}, filepath.Join(dir, "set"), nil)
	if !errors.Is(err, ErrOptions) || asked > 0 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
