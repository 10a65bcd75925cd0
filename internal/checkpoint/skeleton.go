package checkpoint

import (
	"context"
	"log/slog"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/tensor"
)

type Ticket struct {
	ID    string
	Step  int64
	Epoch int64
}

type Option func(*Writer)

func WithKeep(n int) Option                 { return func(w *Writer) {} }
func WithGrace(d time.Duration) Option      { return func(w *Writer) {} }
func WithLogger(l *slog.Logger) Option      { return func(w *Writer) {} }
func WithClock(now func() time.Time) Option { return func(w *Writer) {} }

type Writer struct{}

func Acquire(ctx context.Context, b blob.Bucket, owner Owner, opts ...Option) (*Writer, error) {
	panic("soon")
}
func (w *Writer) Restore(ctx context.Context) (*Checkpoint, error)     { panic("soon") }
func (w *Writer) Save(ctx context.Context, s Snapshot) (Commit, error) { panic("soon") }
func (w *Writer) Clean(ctx context.Context) (Cleaned, error)           { panic("soon") }
func (w *Writer) Check(ctx context.Context) error                      { panic("soon") }
func (w *Writer) Epoch() int64                                         { panic("soon") }
func (w *Writer) Head() Head                                           { panic("soon") }
func (w *Writer) Begin(step int64) Ticket                              { panic("soon") }
func ReadHead(ctx context.Context, b blob.Bucket) (Head, error)        { panic("soon") }
func ReadManifest(ctx context.Context, b blob.Bucket, e Entry) (Manifest, error) {
	panic("soon")
}
func LoadState(ctx context.Context, b blob.Bucket, e Entry) (*Checkpoint, error) { panic("soon") }
func ReadMetrics(ctx context.Context, b blob.Bucket, m Manifest) ([]byte, error) { panic("soon") }
func Verify(ctx context.Context, b blob.Bucket) (Report, error)                  { panic("soon") }

type Cleaned struct {
	Objects int
	Bytes   int64
}
type Report struct {
	OK bool
}

type SaveResult struct {
	Commit Commit
	Err    error
	Stall  time.Duration
}

// Saver saves beside training: one save in flight.
type Saver struct{}

func NewSaver(ctx context.Context, w *Writer) *Saver { panic("soon") }

// Start takes a snapshot and saves it in the background; false (and take is not called) while another save is in flight.
func (s *Saver) Start(take func() (Snapshot, error)) (bool, error) { panic("soon") }

// Busy: a save is in flight.
func (s *Saver) Busy() bool { panic("soon") }

// Poll returns a finished save that was not yet reported.
func (s *Saver) Poll() (SaveResult, bool) { panic("soon") }

// Wait blocks until nothing is in flight; then Poll.
func (s *Saver) Wait(ctx context.Context) error { panic("soon") }

// IntervalInput and ChooseInterval: Young/Daly.
type IntervalInput struct {
	FixedSteps     int64         // > 0: the spec fixes it
	StepSeconds    float64       // measured
	StallSeconds   float64       // what one save costs the step loop
	PersistSeconds float64       // what one save takes beside it
	Preemptions    int64         // observed
	Observed       time.Duration // over which they were observed
	Prior          time.Duration // mean time between preemptions assumed before any was seen; 0 = 6 h
}
type IntervalChoice struct {
	Steps  int64
	Reason string
}

func ChooseInterval(in IntervalInput) IntervalChoice { panic("soon") }

var _ tensor.State
