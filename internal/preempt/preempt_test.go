package preempt

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a metadata server whose values change when the test says so.
func fake(t *testing.T, values map[string]string, change map[string]string, when <-chan struct{}) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		name := strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/")
		v, ok := values[name]
		if r.URL.Query().Get("wait_for_change") == "true" && r.URL.Query().Get("last_etag") == "1" {
			select {
			case <-when:
				if c, changed := change[name]; changed {
					v = c
					w.Header().Set("ETag", "2")
					w.Write([]byte(v))
					return
				}
				<-r.Context().Done()
			case <-r.Context().Done():
			}
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", "1")
		w.Write([]byte(v))
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(s.URL, "http://"))
}

func next(t *testing.T, c <-chan Notice) Notice {
	t.Helper()
	select {
	case n := <-c:
		return n
	case <-time.After(10 * time.Second):
		t.Fatal("no notice")
		return Notice{}
	}
}

func TestMetadataServer(t *testing.T) {
	calm := map[string]string{"instance/preempted": "FALSE", "instance/maintenance-event": "NONE"}
	for _, c := range []struct {
		name   string
		values map[string]string
		change map[string]string
		want   string
	}{
		{"preempted", calm, map[string]string{"instance/preempted": "TRUE"}, Preempted},
		{"preempted before the start", map[string]string{"instance/preempted": "TRUE", "instance/maintenance-event": "NONE"}, nil, Preempted},
		{"maintenance that ends the machine", calm, map[string]string{"instance/maintenance-event": "TERMINATE_ON_HOST_MAINTENANCE"},
			Maintenance},
		{"no value of maintenance", map[string]string{"instance/preempted": "FALSE"}, map[string]string{"instance/preempted": "TRUE"}, Preempted},
		{"maintenance that moves the machine, then the end", calm,
			map[string]string{"instance/maintenance-event": "MIGRATE_ON_HOST_MAINTENANCE", "instance/preempted": "TRUE"}, Preempted},
	} {
		t.Run(c.name, func(t *testing.T) {
			when := make(chan struct{})
			fake(t, c.values, c.change, when)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			notices := Watch(ctx)
			close(when)
			if n := next(t, notices); n.Reason != c.want {
				t.Fatal(n)
			}
		})
	}
}

// A metadata server that breaks off is asked again, and its notice is heard then.
func TestMetadataServerComesBack(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch {
		case !strings.HasSuffix(r.URL.Path, "instance/preempted"):
			http.NotFound(w, r)
		case asked.Add(1) < 4:
			panic(http.ErrAbortHandler)
		default:
			_, _ = w.Write([]byte("TRUE"))
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(s.URL, "http://"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if n := next(t, Watch(ctx)); n.Reason != Preempted || asked.Load() < 4 {
		t.Fatalf("%+v after %d requests", n, asked.Load())
	}
}
