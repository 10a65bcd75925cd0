// Package faultproxy is a proxy in front of an HTTP server that makes requests fail in the
// ways of networks and object storage, chosen by a seeded generator. It is for tests.
package faultproxy

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Fault is a kind of failure.
type Fault string

// The kinds of failure. With the first four, the server does not see the request.
const (
	Unavailable Fault = "503"
	TooMany     Fault = "429"
	Hang        Fault = "hang" // no answer until the client gives up
	Cut         Fault = "cut"  // the connection ends without an answer
	Lost        Fault = "lost" // the server handles the request, but its answer is lost
	Truncate    Fault = "truncate"
	FlipAnswer  Fault = "flip answer"
	FlipRequest Fault = "flip request"
	Slow        Fault = "slow"
)

// order is the order in which draw considers the faults.
var order = []Fault{Unavailable, TooMany, Hang, Cut, Lost, Truncate, FlipAnswer, FlipRequest, Slow}

// Options of New.
type Options struct {
	Seed  uint64
	Rates map[Fault]float64 // probability per request; the sum is at most 1
	Only  func(*http.Request) bool
	// HangFor ends a Hang if the client does not give up before; 0 means 30 s.
	HangFor time.Duration
	// SlowPause is the pause before every 16 KiB of a slow body; 0 means 20 ms.
	SlowPause time.Duration
}

// Proxy is an http.Handler. It is safe for concurrent use.
type Proxy struct {
	o      Options
	proxy  *httputil.ReverseProxy
	mu     sync.Mutex
	rnd    *rand.Rand
	down   bool
	counts map[Fault]int
}

// New makes a proxy for target.
func New(target *url.URL, o Options) *Proxy {
	if o.HangFor == 0 {
		o.HangFor = 30 * time.Second
	}
	if o.SlowPause == 0 {
		o.SlowPause = 20 * time.Millisecond
	}
	p := &Proxy{o: o, rnd: rand.New(rand.NewPCG(o.Seed, 1)), counts: map[Fault]int{}}
	p.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "proxy: "+err.Error(), http.StatusBadGateway)
		},
	}
	return p
}

// SetRates replaces the probabilities.
func (p *Proxy) SetRates(rates map[Fault]float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Rates = rates
}

// SetDown makes every request fail with 503 until it is called with false.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Counts returns how often each fault has happened.
func (p *Proxy) Counts() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// draw chooses the fault of a request ("" for none) and a relative position in its body, in [0, 1).
func (p *Proxy) draw(r *http.Request) (f Fault, at float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, at := p.rnd.Float64(), p.rnd.Float64()
	if p.down {
		p.counts[Unavailable]++
		return Unavailable, at
	}
	if p.o.Only != nil && !p.o.Only(r) {
		return "", at
	}
	for _, f := range order {
		if x -= p.o.Rates[f]; x < 0 {
			p.counts[f]++
			return f, at
		}
	}
	return "", at
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, at := p.draw(r)
	switch fault {
	case Unavailable:
		refuse(w, r, http.StatusServiceUnavailable)
		return
	case TooMany:
		refuse(w, r, http.StatusTooManyRequests)
		return
	case Hang:
		select {
		case <-r.Context().Done():
		case <-time.After(p.o.HangFor):
		}
		panic(http.ErrAbortHandler)
	case Cut:
		panic(http.ErrAbortHandler)
	case Lost:
		p.proxy.ServeHTTP(&discard{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case FlipRequest:
		r.Body = &flipper{ReadCloser: r.Body, at: position(r.ContentLength, at)}
	case Slow:
		r.Body = &slow{r.Body, p.o.SlowPause}
	}
	p.proxy.ServeHTTP(&answer{ResponseWriter: w, fault: fault, at: at, pause: p.o.SlowPause}, r)
}

// refuse answers with a status. It reads the body first: a client that still sends when the connection is closed may
// see a broken connection instead of the answer, which is another fault.
func refuse(w http.ResponseWriter, r *http.Request, status int) {
	_, _ = io.Copy(io.Discard, r.Body)
	http.Error(w, "injected", status)
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// position returns the index of the byte to change in a body. If the length is not known, the
// index lies behind the envelope of an upload, so that the content is changed if it is long enough.
func position(length int64, at float64) int64 {
	if length < 0 {
		return 1<<10 + int64(at*(3<<10))
	}
	return int64(at * float64(length))
}

// flipper changes one bit of a request's body.
type flipper struct {
	io.ReadCloser
	n, at int64
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.at >= f.n && f.at < f.n+int64(n) {
		p[f.at-f.n] ^= 1
	}
	f.n += int64(n)
	return n, err
}

type slow struct {
	io.ReadCloser
	pause time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.ReadCloser.Read(p[:min(len(p), 16<<10)])
}

// answer damages the body of the response.
type answer struct {
	http.ResponseWriter
	fault Fault
	at    float64
	pause time.Duration
	done  bool
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) Write(p []byte) (int, error) {
	switch {
	case a.fault == Truncate:
		_, _ = a.ResponseWriter.Write(p[:len(p)/2])
		_ = http.NewResponseController(a.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	case a.fault == FlipAnswer && !a.done && len(p) > 0:
		a.done = true
		p = append([]byte(nil), p...)
		p[int(a.at*float64(len(p)))] ^= 1
	case a.fault == Slow:
		time.Sleep(a.pause)
	}
	return a.ResponseWriter.Write(p)
}
