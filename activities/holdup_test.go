package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/protocol"
)

// A hold-up is told once it lasts and once it is over. One that comes and goes is told ever more
// rarely, and what was told last is right in the end.
func TestHoldupsAreToldSparingly(t *testing.T) {
	full := func(since int) protocol.Holdup {
		return protocol.Holdup{Kind: protocol.HoldupDiskFull, Since: time.Unix(int64(since), 0)}
	}
	flapping := map[int]protocol.Holdup{}
	for s := 0; s < 3600; s += 20 {
		flapping[s] = full(s)
		flapping[s+10] = protocol.Holdup{}
	}
	for name, c := range map[string]struct {
		changes map[int]protocol.Holdup // second -> from then on
		want    []int                   // seconds at which the workflow is told
		most    int                     // instead of want
	}{
		"nothing happens":   {nil, nil, 0},
		"it lasts":          {map[int]protocol.Holdup{10: full(10)}, []int{16}, 0},
		"it is over":        {map[int]protocol.Holdup{10: full(10), 60: {}}, []int{16, 60}, 0},
		"it passes":         {map[int]protocol.Holdup{10: full(10), 13: {}}, nil, 0},
		"it is over soon":   {map[int]protocol.Holdup{10: full(10), 18: {}}, []int{16, 32}, 0},
		"it comes and goes": {flapping, nil, 10},
	} {
		t.Run(name, func(t *testing.T) {
			var told holdupsTold
			var now protocol.Holdup
			var got []int
			for s := range 2 * 3600 {
				if h, ok := c.changes[s]; ok {
					now = h
				}
				at := time.Unix(int64(s), 0)
				if s%2 == 0 && told.due(now, at) { // every two seconds, as tellWorkflow
					told.told(now, at)
					got = append(got, s)
				}
			}
			if c.most == 0 {
				if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); d != "" {
					t.Errorf("told at (-want +got):\n%s", d)
				}
				return
			}
			if len(got) == 0 || len(got) > c.most || !told.last.Same(now) {
				t.Errorf("told %d times, want 1 to %d; in the end that it is %+v", len(got), c.most, told.last)
			}
		})
	}
}

// heard is what the workflow and the server hear of an attempt.
type heard struct {
	mu         sync.Mutex
	heartbeats []Progress
	signals    []Progress
}

func (h *heard) listen(a *Activities, answer func(Progress) error) {
	a.HeartbeatEvery = 10 * time.Millisecond
	a.Heartbeat = func(_ context.Context, _ []byte, details any) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		p, _ := details.(Progress)
		h.heartbeats = append(h.heartbeats, p)
		return answer(p)
	}
	a.Notify = func(_ context.Context, p Progress) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.signals = append(h.signals, p)
		return nil
	}
}

// A pause in the Web UI ends the process after it has saved; the workflow hears that the activity is held.
func TestPausedActivity(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/train", saves)
	env := testEnvironment(t)
	a := &Activities{Bucket: mem.New(time.Now), Child: Child{Command: []string{"sh", dir + "/train"}}}
	var h heard
	h.listen(a, func(p Progress) error {
		if p.Step == 0 {
			return nil
		}
		return activity.ErrActivityPaused
	})
	if _, err := blob.PutBytes(t.Context(), a.Bucket, "specs/x.json", []byte("{}"), blob.Any); err != nil {
		t.Fatal(err)
	}
	env.RegisterActivity(a.Train)
	_, err := env.ExecuteActivity(a.Train, TrainInput{Item: Item{Run: "x", SpecKey: "specs/x.json"}})
	var app *temporal.ApplicationError
	var p Progress
	if !errors.As(err, &app) || app.Details(&p) != nil || p.Holdup.Kind != protocol.HoldupActivityPaused {
		t.Fatalf("%v with %+v, want that it is paused", err, p)
	}
	if len(h.signals) == 0 {
		t.Fatal("the workflow hears nothing")
	}
	last := h.signals[len(h.signals)-1]
	if last.Holdup.Kind != protocol.HoldupActivityPaused || last.CommittedStep != 7 {
		t.Errorf("the workflow hears of %+v, want a pause with step 7 saved", last)
	}
}

// failing is a bucket whose first reads fail.
type failing struct {
	blob.Bucket
	mu   sync.Mutex
	left int
	why  error
}

func (f *failing) Get(ctx context.Context, key string, generation int64) (io.ReadCloser, blob.Attr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left >= 0 {
		return nil, blob.Attr{}, f.why
	}
	return f.Bucket.Get(ctx, key, generation)
}

// An attempt whose store is away when it begins waits, and its heartbeats say what for.
func TestStorageAwayBeforeTheProcess(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/train", saves)
	env := testEnvironment(t)
	b := &failing{Bucket: mem.New(time.Now), left: 3, why: fmt.Errorf("get specs/x.json: connection refused: %w", blob.ErrTransient)}
	a := &Activities{Host: "here", Bucket: b, Child: Child{Command: []string{"sh", dir + "/train"}}}
	var h heard
	h.listen(a, func(p Progress) error {
		if p.Step > 0 { // the process has begun
			writeFile(t, dir+"/train.done", "")
		}
		return nil
	})
	if _, err := blob.PutBytes(t.Context(), b, "specs/x.json", []byte("{}"), blob.Any); err != nil {
		t.Fatal(err)
	}
	env.RegisterActivity(a.Train)
	if _, err := env.ExecuteActivity(a.Train, TrainInput{Item: Item{Run: "x", SpecKey: "specs/x.json"}}); err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, p := range h.heartbeats {
		if p.Holdup.Kind == protocol.HoldupStorageAway && p.Holdup.Where == "here" {
			held++
		}
	}
	if held == 0 {
		t.Errorf("no heartbeat says that the store is away: %+v", h.heartbeats)
	}
	if last := h.heartbeats[len(h.heartbeats)-1]; !last.Holdup.None() {
		t.Errorf("the last heartbeat says %+v", last.Holdup)
	}
}
