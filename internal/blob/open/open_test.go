package open

import (
	"context"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"trmsweep/internal/blob"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"":                   "want gs://BUCKET[/PREFIX] or a directory",
		"s3://bucket":        "want gs://BUCKET[/PREFIX] or a directory",
		"gs://":              "the bucket's name is missing",
		"gs:///prefix":       "the bucket's name is missing",
		"gs://bucket/a//b":   "a//b",
		"gs://bucket/../x":   "../x",
		"/dev/null/no/store": "open store",
	} {
		if _, _, err := Bucket(t.Context(), address); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, blob.ErrTransient) {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
}

// roundTrip writes and reads one object.
func roundTrip(t *testing.T, address string) {
	t.Helper()
	b, closer, err := Bucket(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(t.Context(), b, "k", []byte(address), blob.Any); err != nil {
		t.Fatal(err)
	}
	if data, a, err := blob.ReadAll(t.Context(), b, "k", 0); err != nil || string(data) != address || a.Key != "k" {
		t.Errorf("%q %+v %v", data, a, err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}

func TestDirectory(t *testing.T) { roundTrip(t, filepath.Join(t.TempDir(), "new", "store")) }

func TestCloudWithAndWithoutPrefix(t *testing.T) {
	s, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, StorageRoot: t.TempDir(), PublicHost: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.HTTPHandler())
	defer web.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", web.URL)
	roundTrip(t, "gs://bucket")
	roundTrip(t, "gs://bucket/a/b/")
	b, closer, err := Bucket(t.Context(), "gs://bucket")
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	for key, want := range map[string]string{"k": "gs://bucket", "a/b/k": "gs://bucket/a/b/"} {
		if data, _, err := blob.ReadAll(t.Context(), b, key, 0); err != nil || string(data) != want {
			t.Errorf("%s: %q %v", key, data, err)
		}
	}
}

// A store that does not answer is waited for as long as the caller wants, who hears of it.
func TestStoreThatIsAway(t *testing.T) {
	web := httptest.NewServer(nil)
	web.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", web.URL)
	notes := 0
	_, _, err := Raw(t.Context(), "gs://bucket", time.Millisecond, func(err error, _ time.Duration) {
		if !errors.Is(err, blob.ErrTransient) {
			t.Error(err)
		}
		notes++
	})
	if !errors.Is(err, blob.ErrTransient) || notes == 0 || !strings.Contains(err.Error(), "gave up after") ||
		!strings.Contains(err.Error(), web.URL) {
		t.Errorf("%v, %d notes", err, notes)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err = Raw(ctx, "gs://bucket", time.Hour, func(error, time.Duration) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
