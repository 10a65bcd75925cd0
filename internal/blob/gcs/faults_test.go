package gcs_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/gcs"
	"trmsweep/internal/blob/patient"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/faultproxy"
	"trmsweep/internal/tensor"
)

// Checkpoints are saved and restored through every fault that a network has.
func TestCheckpointsThroughFaults(t *testing.T) {
	for _, f := range []faultproxy.Fault{faultproxy.Unavailable, faultproxy.TooMany, faultproxy.Cut, faultproxy.Lost,
		faultproxy.Truncate, faultproxy.FlipRequest, faultproxy.Hang, faultproxy.Slow} {
		t.Run(string(f), func(t *testing.T) {
			target, _ := url.Parse(emulate(t).URL)
			rate := 0.12
			if f == faultproxy.FlipRequest {
				rate = 0.4
			}
			p := faultproxy.New(target,
				faultproxy.Options{Seed: 7, SlowPause: time.Millisecond, HangFor: time.Second, Only: func(r *http.Request) bool {
					// The client cannot tell a changed envelope of an upload from a meant one; only bodies are checked.
					body := r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/upload/")
					return f != faultproxy.FlipRequest || body
				}})
			web := httptest.NewServer(p)
			defer web.Close()
			t.Setenv("STORAGE_EMULATOR_HOST", web.URL)
			g, err := gcs.Open(t.Context(), "bucket", 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			b := patient.New(g, time.Minute, nil)
			p.SetRates(map[faultproxy.Fault]float64{f: rate})
			for i := int64(1); i <= 4; i++ {
				w, err := checkpoint.Acquire(t.Context(), b, checkpoint.Owner{})
				if err != nil {
					t.Fatal(err)
				}
				c, err := w.Restore(t.Context())
				if err != nil || (c == nil) != (i == 1) {
					t.Fatalf("restore before step %d: %v, %v", i, c != nil, err)
				}
				if c != nil {
					if value := c.State["a"].Data[0]; c.Step != i-1 || value != byte(i-1) {
						t.Fatalf("restore before step %d: step %d, %d", i, c.Step, value)
					}
				}
				state := tensor.State{"a": {DType: tensor.U8, Shape: []int{50000}, Data: bytes.Repeat([]byte{byte(i)}, 50000)}}
				if _, err := w.Save(t.Context(), checkpoint.Snapshot{Step: i, State: state}); err != nil {
					t.Fatal(err)
				}
			}
			if p.Counts()[f] == 0 {
				t.Fatal("no fault happened")
			}
			p.SetRates(nil)
			if r, err := checkpoint.Verify(t.Context(), b); err != nil || !r.OK {
				t.Fatalf("%+v %v", r, err)
			}
		})
	}
}

func TestFlippedAnswerIsCorrupt(t *testing.T) {
	target, _ := url.Parse(emulate(t).URL)
	p := faultproxy.New(target, faultproxy.Options{Seed: 1, Only: func(r *http.Request) bool {
		return r.URL.Query().Get("alt") == "media"
	}})
	web := httptest.NewServer(p)
	defer web.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", web.URL)
	b, err := gcs.Open(t.Context(), "bucket", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := blob.PutBytes(t.Context(), b, "k", bytes.Repeat([]byte("x"), 5000), blob.Any); err != nil {
		t.Fatal(err)
	}
	p.SetRates(map[faultproxy.Fault]float64{faultproxy.FlipAnswer: 1})
	if _, _, err := blob.ReadAll(t.Context(), b, "k", 0); !errors.Is(err, blob.ErrCorrupt) && !errors.Is(err, blob.ErrTransient) {
		t.Fatal(err)
	}
	if p.Counts()[faultproxy.FlipAnswer] == 0 {
		t.Fatal("nothing was flipped")
	}
}

// The disk of an emulator can be full, and a store that is full is told from one that is away.
func TestFullEmulator(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		says   string
		full   bool
	}{
		"its file system is full":    {http.StatusInternalServerError, "write /state/gcs/x: no space left on device", true},
		"it says so by the status":   {http.StatusInsufficientStorage, "", true},
		"an error of another reason": {http.StatusInternalServerError, "oops", false},
	} {
		t.Run(name, func(t *testing.T) {
			whole := emulate(t).Config.Handler
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/upload/") {
					http.Error(w, c.says, c.status)
					return
				}
				whole.ServeHTTP(w, r)
			}))
			defer web.Close()
			t.Setenv("STORAGE_EMULATOR_HOST", web.URL)
			b, err := gcs.Open(t.Context(), "bucket", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			_, err = blob.PutBytes(t.Context(), b, "k", []byte("x"), blob.Any)
			if !errors.Is(err, blob.ErrTransient) || errors.Is(err, blob.ErrFull) != c.full {
				t.Errorf("%v, want one of a full store: %v", err, c.full)
			}
		})
	}
}
