package checkpoint

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/wait"
)

// Defaults of the options.
const (
	DefaultKeep  = 3
	DefaultGrace = time.Hour
)

// Writer holds a run: the only one that can commit to it until another Acquire.
// Methods may be called from any goroutine; Save, Restore and Clean exclude each
// other, and no other method waits for them: they may wait for the storage for long.
type Writer struct {
	b     blob.Bucket
	owner Owner
	lease string
	term  int64
	keep  int
	grace time.Duration
	log   *slog.Logger
	now   func() time.Time
	yield func(Head) error // an error leaves the run to its owner; nil = never

	lastHead atomic.Pointer[Head] // copy of head that Head may read beside a Save

	mu      sync.Mutex
	head    Head
	clock   time.Time // the storage's, as last seen
	parent  *Manifest // what the next commit continues
	pentry  Entry
	trash   []Entry      // dropped from HEAD, to be deleted
	failed  []*commitTry // saves of this writer with an unknown or bad outcome
	pending logs         // of failed saves
}

// logs are log bytes that no commit holds yet.
type logs struct{ metrics, tfevents []byte }

// logSizes are bytes of logs, counted from their beginning.
type logSizes struct{ metrics, tfevents int }

// drop forgets what a commit turned out to hold.
func (l *logs) drop(n logSizes) {
	l.metrics = l.metrics[min(n.metrics, len(l.metrics)):]
	l.tfevents = l.tfevents[min(n.tfevents, len(l.tfevents)):]
}

// Option changes what a Writer does.
type Option func(*Writer)

// WithKeep keeps the newest n checkpoints (at least 1) besides the best one and milestones.
func WithKeep(n int) Option { return func(w *Writer) { w.keep = max(n, 1) } }

// WithGrace is the age, by the storage's clock, from which checkpoints of fenced writers that were never committed are deleted.
func WithGrace(d time.Duration) Option { return func(w *Writer) { w.grace = d } }

// WithLogger replaces slog.Default.
func WithLogger(l *slog.Logger) Option { return func(w *Writer) { w.log = l } }

// WithYield lets refuse look at HEAD before it is taken from whoever has it; its error is Acquire's.
func WithYield(refuse func(Head) error) Option { return func(w *Writer) { w.yield = refuse } }

// WithClock replaces time.Now; it is only written down, never compared.
func WithClock(now func() time.Time) Option { return func(w *Writer) { w.now = now } }

func newWriter(b blob.Bucket, owner Owner, opts []Option) *Writer {
	w := &Writer{b: b, owner: owner, lease: nonce(), keep: DefaultKeep, grace: DefaultGrace, log: slog.Default(), now: time.Now}
	for _, o := range opts {
		o(w)
	}
	return w
}

// Acquire takes the run under b's root: it raises the fence in HEAD.json, which
// ends the power of every earlier writer, and it does so before anything is
// read. A HEAD that is lost or damaged is rebuilt from the manifests. Errors:
// ErrAllBad, ErrFormat (both final), blob.ErrTransient.
func Acquire(ctx context.Context, b blob.Bucket, owner Owner, opts ...Option) (*Writer, error) {
	w := newWriter(b, owner, opts)
	for try := 0; ; try++ {
		head, err := currentHead(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("acquire run: %w", err)
		}
		if head.rebuilt != "" {
			w.log.Warn("HEAD.json is rebuilt from the manifests", "why", head.rebuilt, "checkpoints", len(head.Entries))
		}
		if w.yield != nil {
			if err := w.yield(head.Head); err != nil {
				return nil, fmt.Errorf("acquire run: %w", err)
			}
		}
		next := head.Head
		next.Format = Format
		next.Term = head.Term + 1
		next.Lease = w.lease
		next.Owner = owner
		next.Commit = nonce()
		if next.Created.IsZero() {
			next.Created = w.now().UTC()
		}
		attr, err := putHead(ctx, b, next)
		if err == nil {
			w.adopt(next, attr)
			break
		}
		// The write may have happened though its response was lost.
		now, attr, rerr := readHead(ctx, b)
		if rerr == nil && now.Lease == w.lease {
			w.adopt(now, attr)
			break
		}
		if !errors.Is(err, blob.ErrPrecondition) || try >= 100 {
			return nil, fmt.Errorf("acquire run: %w", err)
		}
		// Another attempt was faster. The last one to come owns the run.
		if err := wait.Sleep(ctx, rand.N(20*time.Millisecond)); err != nil {
			return nil, fmt.Errorf("acquire run: %w", err)
		}
	}
	w.term = w.head.Term
	return w, nil
}

func (w *Writer) adopt(h Head, attr blob.Attr) {
	h.Generation = attr.Generation
	w.head = h
	w.lastHead.Store(&h)
	w.advanceClock(attr.Updated)
}

func (w *Writer) advanceClock(t time.Time) {
	if t.After(w.clock) {
		w.clock = t
	}
}

// Term is this writer's fence.
func (w *Writer) Term() int64 { return w.term }

// Head is HEAD.json as this writer last saw it. It does not wait for a Save.
func (w *Writer) Head() Head {
	h := *w.lastHead.Load()
	h.Entries = slices.Clone(h.Entries)
	return h
}

// Check reads HEAD and returns ErrFenced if the run has another owner. It does not wait for a Save.
func (w *Writer) Check(ctx context.Context) error {
	h, _, err := readHead(ctx, w.b)
	if err != nil {
		return w.lost(err)
	}
	return w.mine(h)
}

func (w *Writer) mine(h Head) error {
	if h.Lease == w.lease {
		return nil
	}
	return fmt.Errorf("%w: another attempt owns this run: term %d (%s) follows term %d", ErrFenced, h.Term, h.Owner, w.term)
}

// lost explains a HEAD that this writer wrote and can no longer read.
func (w *Writer) lost(err error) error {
	if errors.Is(err, blob.ErrNotExist) {
		return fmt.Errorf("%w: HEAD.json of this run was deleted while it was trained, and with it the proof that the run is this attempt's; "+
			"the next attempt makes it anew and goes on from the newest checkpoint", ErrFenced)
	}
	return err
}

// errLate: an earlier write of this writer, given up for lost, has appeared.
var errLate = errors.New("an earlier write arrived late")

// swap changes HEAD from the state last read. After any error it reads HEAD to learn what happened.
func (w *Writer) swap(ctx context.Context, change func(*Head)) error {
	next := w.head
	next.Entries = slices.Clone(w.head.Entries)
	next.Commit = nonce()
	change(&next)
	for try := 0; ; try++ {
		attr, err := putHead(ctx, w.b, next)
		if err == nil {
			w.adopt(next, attr)
			return nil
		}
		now, attr, rerr := readHead(ctx, w.b)
		switch {
		case rerr != nil:
			return errors.Join(err, w.lost(rerr))
		case now.Commit == next.Commit:
			w.adopt(now, attr)
			return nil
		case now.Lease != w.lease:
			return w.mine(now)
		case now.Commit != w.head.Commit:
			w.adopt(now, attr)
			return errLate
		case try >= 2 || !errors.Is(err, blob.ErrPrecondition): // the bucket has waited for storage that is away
			return fmt.Errorf("write HEAD.json: %w", err)
		}
		next.Generation = attr.Generation // unchanged content: the same or a touched object
	}
}

func (o Owner) String() string {
	s := o.Host
	if o.PID != 0 {
		s += fmt.Sprintf(" pid %d", o.PID)
	}
	if o.WorkflowID != "" {
		s += fmt.Sprintf(" workflow %s attempt %d", o.WorkflowID, o.Attempt)
	}
	if s == "" {
		return "unnamed owner"
	}
	return s
}

// nonce is a random name that no other writer has.
func nonce() string {
	var b [8]byte
	crand.Read(b[:])
	return hex.EncodeToString(b[:])
}
