package gcs_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/storage"
	"github.com/fsouza/fake-gcs-server/fakestorage"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/blobtest"
	"trmsweep/internal/blob/gcs"
	"trmsweep/internal/guard"
)

// emulate starts the emulator in this process, behind the guard of cmd/devstack, and points the client at it.
func emulate(t *testing.T) *httptest.Server {
	s, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, StorageRoot: t.TempDir(), PublicHost: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(guard.Storage(s.HTTPHandler()))
	t.Cleanup(web.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", web.URL)
	return web
}

func TestBucket(t *testing.T) {
	var n atomic.Int64
	blobtest.Run(t, func(t *testing.T) blob.Bucket {
		emulate(t)
		b, err := gcs.Open(t.Context(), "bucket", 0)
		if err != nil {
			t.Fatal(n.Add(1), err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	})
}

// Objects over a gibibyte go in chunks, a resumable upload: the guard lets the
// client's requests for it pass.
func TestChunksPassTheGuard(t *testing.T) {
	emulate(t)
	c, err := storage.NewClient(t.Context(), storage.WithJSONReads())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bucket("bucket").Create(t.Context(), "trmsweep", nil); err != nil {
		t.Fatal(err)
	}
	o := c.Bucket("bucket").Object("a/b")
	want := strings.Repeat("0123456789", 60000)
	w := o.If(storage.Conditions{DoesNotExist: true}).NewWriter(t.Context())
	w.ChunkSize = 256 << 10
	if _, err := io.WriteString(w, want); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := o.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(want), err)
	}
}

func TestServerDown(t *testing.T) {
	web := emulate(t)
	b, err := gcs.Open(t.Context(), "bucket", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	web.Close()
	_, err = blob.PutBytes(t.Context(), b, "k", []byte("1"), blob.Absent)
	if !errors.Is(err, blob.ErrTransient) || !strings.Contains(err.Error(), "gs://bucket/k") {
		t.Fatal(err)
	}
	_, err = gcs.Open(t.Context(), "bucket", 0)
	if !errors.Is(err, blob.ErrTransient) || !strings.Contains(err.Error(), "start the emulator") {
		t.Fatal(err)
	}
}
