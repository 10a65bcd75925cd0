package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/faultproxy"
	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// lines calls hear for every whole line of events that is written to it.
type lines struct {
	mu   sync.Mutex
	rest []byte
	all  []protocol.Event
	hear func(protocol.Event)
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		var e protocol.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, err
		}
		l.rest = rest
		l.all = append(l.all, e)
		l.hear(e)
	}
}

func (l *lines) count(kind string) (n int) {
	for _, e := range l.all {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// The command trains against an object store that goes away: shortly, at length, and before it starts.
func TestTrainThroughStorageOutages(t *testing.T) {
	s, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, StorageRoot: t.TempDir(), PublicHost: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	emulator := httptest.NewServer(s.HTTPHandler())
	defer emulator.Close()
	target, _ := url.Parse(emulator.URL)
	proxy := faultproxy.New(target, faultproxy.Options{Seed: 1})
	web := httptest.NewServer(proxy)
	defer web.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", web.URL)

	dir := t.TempDir()
	attempt := func(run, patience string, hear func(*lines, protocol.Event)) (*lines, int, string) {
		args := append([]string{
			"train", "e2_2_t2_n2", "--backend", "cpu", "--no-metadata", "--state", dir,
			"--store", "gs://bucket/study", "--run", run, "--patience", patience,
		}, tiny("epochs=6", "eval_interval_epochs=2")...)
		l := &lines{}
		l.hear = func(e protocol.Event) { hear(l, e) }
		var errs bytes.Buffer
		code := execute(t.Context(), args, l, &errs)
		return l, code, errs.String()
	}
	digest := func(run string) string {
		var out bytes.Buffer
		code := execute(t.Context(), []string{"verify", "--json", "--state", dir, "--store", "gs://bucket/study", "--run", run}, &out, &out)
		if code != exitOK {
			t.Fatalf("verify %s: exit code %d\n%s", run, code, out.String())
		}
		var v train.Verification
		if err := json.Unmarshal(out.Bytes(), &v); err != nil || !v.Finished {
			t.Fatalf("%v %+v", err, v)
		}
		return v.StateSHA256
	}

	if _, code, errs := attempt("undisturbed", "10m", func(*lines, protocol.Event) {}); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	want := digest("undisturbed")

	l, code, errs := attempt("short", "10m", func(l *lines, e protocol.Event) {
		switch {
		case e.Type == protocol.EventProgress && e.State == protocol.StateTraining && l.count(protocol.EventStorage) == 0:
			proxy.SetDown(true)
		case l.count(protocol.EventStorage) >= 3:
			proxy.SetDown(false)
		}
	})
	if code != exitOK || l.count(protocol.EventStorage) < 3 {
		t.Fatalf("exit code %d, %d storage events\n%s", code, l.count(protocol.EventStorage), errs)
	}
	if got := digest("short"); got != want {
		t.Errorf("state %s after a short outage, undisturbed %s", got, want)
	}

	l, code, errs = attempt("long", "300ms", func(l *lines, e protocol.Event) {
		if e.Type == protocol.EventProgress && e.State == protocol.StateTraining {
			proxy.SetDown(true)
		}
	})
	if code != protocol.ExitFailed || !strings.Contains(errs, "gave up after") {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	last := l.all[len(l.all)-1]
	wantLast := last
	wantLast.Type, wantLast.ExitCode = protocol.EventError, protocol.ExitFailed
	if diff := cmp.Diff(wantLast, last); diff != "" {
		t.Fatalf("last event (-want +got):\n%s\n%s", diff, errs)
	}

	l, code, errs = attempt("long", "300ms", func(*lines, protocol.Event) {}) // still away
	if code != protocol.ExitFailed || l.count(protocol.EventStorage) == 0 {
		t.Fatalf("exit code %d\n%s", code, errs)
	}

	_, code, errs = attempt("long", "10m", func(l *lines, e protocol.Event) { // away at the start, then back
		if l.count(protocol.EventStorage) >= 2 {
			proxy.SetDown(false)
		}
	})
	if code != exitOK {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	if got := digest("long"); got != want {
		t.Errorf("state %s after a long outage, undisturbed %s", got, want)
	}
}
