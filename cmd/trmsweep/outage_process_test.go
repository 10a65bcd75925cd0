package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/faultproxy"
	"trmsweep/internal/protocol"
)

// behindAProxy is a storage emulator with a proxy before it: its own address, and
// the environment of a process that only knows the proxy.
func behindAProxy(t *testing.T, o faultproxy.Options) (proxy *faultproxy.Proxy, direct string, env []string) {
	t.Helper()
	s, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, StorageRoot: t.TempDir(), PublicHost: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	emulator := httptest.NewServer(s.HTTPHandler())
	t.Cleanup(emulator.Close)
	target, err := url.Parse(emulator.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy = faultproxy.New(target, o)
	web := httptest.NewServer(proxy)
	t.Cleanup(web.Close)
	return proxy, emulator.URL, []string{"STORAGE_EMULATOR_HOST=" + web.URL}
}

// A training process works through every fault that a network has, is killed in
// the middle, restores through the same faults, and ends as if nothing had happened.
func TestProcessThroughEveryFault(t *testing.T) {
	upload := func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/upload/")
	}
	var reads atomic.Int64 // an object is read again some times, not for ever
	content := func(r *http.Request) bool { return r.URL.Query().Get("alt") == "media" && reads.Add(1)%3 == 0 }
	undisturbed(t) // before the others crowd the machine
	for _, c := range []struct {
		fault faultproxy.Fault
		rate  float64
		only  func(*http.Request) bool // a bit of an address or an answer's envelope can change unnoticed; TLS guards those
		says  bool                     // the attempt hears of it; else the store's client mends it
	}{
		{faultproxy.Unavailable, 0.2, nil, true},
		{faultproxy.TooMany, 0.2, nil, true},
		{faultproxy.Hang, 0.1, nil, true},
		{faultproxy.Cut, 0.2, nil, true},
		{faultproxy.Lost, 0.2, nil, true},
		{faultproxy.Truncate, 0.2, nil, true},
		{faultproxy.FlipRequest, 0.5, upload, true},
		{faultproxy.FlipAnswer, 1, content, false},
		{faultproxy.Slow, 0.5, nil, false},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			proxy, direct, env := behindAProxy(t, faultproxy.Options{
				Seed:      5,
				HangFor:   300 * time.Millisecond,
				SlowPause: 2 * time.Millisecond,
				Only:      c.only,
				Rates:     map[faultproxy.Fault]float64{c.fault: c.rate},
			})
			dir := t.TempDir()
			const store = "gs://bucket/study"
			var once sync.Once
			first := program(t, env, drowsy(func(p *process, e protocol.Event) {
				if e.Type == protocol.EventCheckpoint {
					once.Do(func() { p.signal(syscall.SIGKILL) })
				}
			}), short(store, dir)...)
			if code := first.end(); code != -1 {
				t.Fatalf("exit code %d\n%s", code, first.stderr.String())
			}
			second := program(t, env, nil, short(store, dir)...)
			if code := second.end(); code != protocol.ExitDone {
				t.Fatalf("exit code %d\n%s", code, second.stderr.String())
			}
			if second.events.count(protocol.EventRestored) != 1 || proxy.Counts()[c.fault] < 3 {
				t.Errorf("%d faults, %d restored", proxy.Counts()[c.fault], second.events.count(protocol.EventRestored))
			}
			log := second.stderr.String()
			said := second.events.count(protocol.EventStorage)
			both := strings.Contains(log, "storage is failing") && strings.Contains(log, "storage answers again")
			told := said >= 2 && both
			if c.says && !told {
				t.Errorf("%d faults: %d events\n%s", proxy.Counts()[c.fault], said, log)
			}
			t.Setenv("STORAGE_EMULATOR_HOST", direct)
			same(t, store, dir)
		})
	}
}

// Told to stop while the store does not answer yet, an attempt is a preempted one, not one with a wrong store.
func TestNoticeBeforeTheStoreAnswers(t *testing.T) {
	proxy, _, env := behindAProxy(t, faultproxy.Options{Seed: 1})
	proxy.SetDown(true)
	var once sync.Once
	p := program(t, env, func(p *process, e protocol.Event) {
		if e.Type == protocol.EventStorage {
			once.Do(func() { p.signal(syscall.SIGTERM) })
		}
	}, short("gs://bucket/study", t.TempDir())...)
	code := p.end()
	if code != protocol.ExitPreempted {
		t.Errorf("exit code %d, want %d", code, protocol.ExitPreempted)
	}
	last := p.events.all[len(p.events.all)-1]
	want := last
	want.Type, want.ExitCode = protocol.EventError, protocol.ExitPreempted
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("last event (-want +got):\n%s\n%s", diff, p.stderr.String())
	}
}

// A trial that is told to stop gives no answer about its model.
func TestTrialThatIsToldToStop(t *testing.T) {
	proxy, _, env := behindAProxy(t, faultproxy.Options{Seed: 1, Rates: map[faultproxy.Fault]float64{faultproxy.Hang: 1}})
	p := program(t, env, nil, "trial", "e2_2_t2_n2", "--profile", "smoke", "--backend", "cpu", "--store", "gs://bucket/study", "--state",
		t.TempDir())
	for end := time.Now().Add(processDeadline); proxy.Counts()[faultproxy.Hang] == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	p.signal(syscall.SIGTERM)
	if code := p.end(); code != protocol.ExitPreempted || len(p.events.all) > 0 {
		t.Errorf("exit code %d, output %+v\n%s", code, p.events.all, p.stderr.String())
	}
}

// Someone at a terminal gets away from a process that waits for its storage: the second Ctrl-C kills.
func TestSecondInterruptKills(t *testing.T) {
	proxy, _, env := behindAProxy(t, faultproxy.Options{Seed: 1})
	var first, second sync.Once
	p := program(t, env, func(p *process, e protocol.Event) {
		switch {
		case e.Type == protocol.EventNotice:
			second.Do(func() { p.signal(syscall.SIGINT) })
		case e.State == protocol.StateTraining:
			first.Do(func() { proxy.SetDown(true); p.signal(syscall.SIGINT) })
		}
	}, short("gs://bucket/study", t.TempDir())...)
	code := p.end()
	ws, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signal() != syscall.SIGINT || p.events.count(protocol.EventNotice) != 1 {
		t.Errorf("exit code %d, signal %v, %d notices\n%s", code, ws.Signal(), p.events.count(protocol.EventNotice), p.stderr.String())
	}
}

// SIGTERM may come from a service manager and from the worker: the second one changes nothing.
func TestSecondTerminateSavesAllTheSame(t *testing.T) {
	dir := t.TempDir()
	var once sync.Once
	p := program(t, nil, func(p *process, e protocol.Event) {
		if e.State == protocol.StateTraining && e.Step > 0 {
			once.Do(func() { p.signal(syscall.SIGTERM) })
		}
		if e.Type == protocol.EventNotice {
			p.signal(syscall.SIGTERM)
		}
	}, short(dir+"/store", dir)...)
	last := p.end()
	end := p.events.all[len(p.events.all)-1]
	if last != protocol.ExitPreempted || end.Type != protocol.EventResult || end.Step == 0 {
		t.Fatalf("exit code %d, last event %+v\n%s", last, end, p.stderr.String())
	}
	next := program(t, nil, nil, short(dir+"/store", dir)...)
	if code := next.end(); code != protocol.ExitDone || next.events.all[len(next.events.all)-1].RestoredFrom != end.Step {
		t.Fatalf("exit code %d, %+v; the notice saved step %d", code, next.events.all[len(next.events.all)-1], end.Step)
	}
	same(t, dir+"/store", dir)
}

// A disk that is full when the first checkpoint comes, and is emptied once the
// log says so, delays the saves and nothing else. It is 12 MiB of memory, mounted
// where only these processes see it.
func TestProcessThroughAFullDisk(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), processDeadline)
	defer cancel()
	small, log := dir+"/small", dir+"/log"
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	inside := func(script string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "unshare",
			append([]string{"-rm", "sh", "-ec", "mount -t tmpfs -o size=12m tmpfs " + small + "\n" + script}, args...)...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := inside("true"); err != nil {
		t.Skipf("no private mounts on this machine: %v %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := inside(`
		head -c 11800000 /dev/zero > `+small+`/filler
		"$0" "$@" 2> `+log+` & training=$!
		until grep -q "no space left in `+small+`" `+log+`; do kill -0 $training; sleep 0.05; done
		rm `+small+`/filler
		wait $training
		cp -a `+small+`/store `+dir+`/store`, append([]string{self}, short(small+"/store", dir)...)...)
	if err != nil {
		text, _ := os.ReadFile(log)
		t.Fatalf("%v\n%s\n%s", err, out, text)
	}
	if !strings.Contains(out, `"type":"storage"`) || !strings.Contains(out, "free some and it goes on") {
		t.Errorf("no event tells of the full disk:\n%s", out)
	}
	same(t, dir+"/store", dir)
}
