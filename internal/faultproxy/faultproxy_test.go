package faultproxy

import (
	"bytes"
	"io"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// echo answers with the body it got, and remembers it.
type echo struct {
	mu   sync.Mutex
	seen [][]byte
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.seen = append(e.seen, body)
	e.mu.Unlock()
	_, _ = w.Write(body)
}

func start(t *testing.T, o Options) (*echo, *Proxy, string) {
	t.Helper()
	e := &echo{}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	o.SlowPause, o.HangFor = time.Microsecond, 10*time.Millisecond
	p := New(target, o)
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	return e, p, web.URL
}

// post returns the answer's status and body; status 0 where there is none, -1 where its body breaks off.
func post(address string, body []byte) (int, []byte) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post(address, "text/plain", bytes.NewReader(body))
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return -1, data
	}
	return resp.StatusCode, data
}

func flipped(a, b []byte) int {
	if len(a) != len(b) {
		return -1
	}
	n := 0
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

func TestFaults(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for _, c := range []struct {
		fault  Fault
		status int
		seen   bool // by the server
		bits   int  // that differ in what the server saw
		answer int  // bits that differ in the answer; -1: another length
	}{
		{"", 200, true, 0, 0},
		{Unavailable, 503, false, 0, -1},
		{TooMany, 429, false, 0, -1},
		{Hang, 0, false, 0, -1},
		{Cut, 0, false, 0, -1},
		{Lost, 0, true, 0, -1},
		{Truncate, -1, true, 0, -1},
		{FlipAnswer, 200, true, 0, 1},
		{FlipRequest, 200, true, 1, 1}, // which the server echoes
		{Slow, 200, true, 0, 0},
	} {
		t.Run(string("fault "+c.fault), func(t *testing.T) {
			e, p, address := start(t, Options{Seed: 3, Rates: map[Fault]float64{c.fault: 1}})
			status, got := post(address, body)
			if status != c.status || flipped(body, got) != c.answer {
				t.Errorf("status %d, want %d; %d bits of %d bytes differ, want %d", status, c.status, flipped(body, got), len(got), c.answer)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if len(e.seen) > 0 != c.seen {
				t.Fatalf("the server saw %d requests", len(e.seen))
			}
			if c.seen && flipped(body, e.seen[0]) != c.bits {
				t.Errorf("%d bits differ at the server, want %d", flipped(body, e.seen[0]), c.bits)
			}
			if c.fault != "" && p.Counts()[c.fault] == 0 {
				t.Error("not counted")
			}
		})
	}
}

// Uploads of unannounced length are changed in their content, not in what surrounds it.
func TestFlipInAStream(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for seed := range uint64(20) {
		e, _, address := start(t, Options{Seed: seed, Rates: map[Fault]float64{FlipRequest: 1}})
		resp, err := http.Post(address, "text/plain", io.MultiReader(bytes.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		e.mu.Lock()
		got := e.seen[0]
		e.mu.Unlock()
		if flipped(body, got) != 1 || flipped(body[:1024], got[:1024]) != 0 {
			t.Errorf("seed %d: %d bits differ, %d of them in front", seed, flipped(body, got), flipped(body[:1024], got[:1024]))
		}
	}
}

func TestDrawsAreSeeded(t *testing.T) {
	statuses := func(seed uint64) (out []int) {
		_, _, address := start(t, Options{Seed: seed, Rates: map[Fault]float64{Unavailable: 0.3, TooMany: 0.3}})
		for range 40 {
			s, _ := post(address, nil)
			out = append(out, s)
		}
		return out
	}
	a, b, other := statuses(1), statuses(1), statuses(2)
	same, differ := 0, 0
	kinds := map[int]int{}
	for i := range a {
		kinds[a[i]]++
		if a[i] == b[i] {
			same++
		}
		if a[i] != other[i] {
			differ++
		}
	}
	if same != len(a) || differ == 0 || len(kinds) != 3 {
		t.Errorf("%d of %d equal with one seed, %d differ with another, %v", same, len(a), differ, kinds)
	}
}

func TestDownAndOnly(t *testing.T) {
	_, p, address := start(t, Options{
		Rates: map[Fault]float64{Unavailable: 1},
		Only:  func(r *http.Request) bool { return r.URL.Path == "/bad" },
	})
	try := func(path string, want int) {
		t.Helper()
		if s, _ := post(address+path, nil); s != want {
			t.Errorf("%s: %d, want %d", path, s, want)
		}
	}
	try("/bad", 503)
	try("/good", 200)
	p.SetDown(true)
	try("/good", 503)
	p.SetDown(false)
	p.SetRates(nil)
	try("/bad", 200)
}
