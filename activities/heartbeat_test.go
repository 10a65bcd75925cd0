package activities

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

// saves is a training process that ends by itself once told to by a file, and
// saves when it is asked to stop.
const saves = `trap 'echo "{\"type\":\"committed\",\"step\":7,\"committed_step\":7}"; exit 3' TERM
echo '{"type":"progress","step":7,"total":10,"committed_step":5}'
while [ ! -e "$0.done" ]; do sleep 0.05; done
echo '{"type":"result","step":10,"committed_step":10,"state_sha256":"abc"}'`

// What the server says to heartbeats decides what becomes of an attempt.
func TestHeartbeats(t *testing.T) {
	asked := temporal.NewCanceledError()
	gone := serviceerror.NewNotFound("activity not found")
	away := serviceerror.NewUnavailable("connection refused")
	for name, c := range map[string]struct {
		answer error  // to heartbeats, once the process has said where it is
		ends   int64  // heartbeats after which the process ends by itself
		kind   string // of the error; "" = none, "cancelled"
	}{
		"heard":                   {nil, 2, ""},
		"a server that is away":   {away, 3, ""},
		"the workflow cancels":    {asked, 0, "cancelled"},
		"the server has given up": {gone, 0, ErrPreempted},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := dir + "/train"
			writeFile(t, script, saves)
			env := testEnvironment(t)
			var n atomic.Int64
			a := &Activities{Bucket: mem.New(time.Now), Child: Child{Command: []string{"sh", script}}, HeartbeatEvery: 100 * time.Millisecond,
				Heartbeat: func(_ context.Context, _ []byte, details any) error {
					if p, _ := details.(Progress); p.Step == 0 {
						return nil
					}
					if n.Add(1) == c.ends {
						writeFile(t, script+".done", "")
					}
					return c.answer
				}}
			if _, err := blob.PutBytes(t.Context(), a.Bucket, "specs/x.json", []byte("{}"), blob.Any); err != nil {
				t.Fatal(err)
			}
			env.RegisterActivity(a.Train)
			v, err := env.ExecuteActivity(a.Train, TrainInput{Item: Item{Run: "x", SpecKey: "specs/x.json"}})
			var app *temporal.ApplicationError
			var cancelled *temporal.CanceledError
			switch {
			case c.kind == "":
				var r TrainResult
				if err != nil || v.Get(&r) != nil || r.StateSHA256 != "abc" {
					t.Errorf("%v %+v", err, r)
				}
			case c.kind == "cancelled":
				var p Progress
				if !errors.As(err, &cancelled) || cancelled.Details(&p) != nil || p.CommittedStep != 7 {
					t.Errorf("%v with progress %+v, want a cancellation with step 7 saved", err, p)
				}
			default:
				var p Progress
				if !errors.As(err, &app) || app.Type() != c.kind || app.Details(&p) != nil || p.CommittedStep != 7 {
					t.Errorf("%v with progress %+v, want %s with step 7 saved", err, p, c.kind)
				}
			}
		})
	}
}

// held is a bucket whose objects cannot be read: a call returns when its context ends.
type held struct {
	blob.Bucket
	asked chan struct{} // closed when somebody waits
}

var errNobody = errors.New("nobody ended the wait")

func (h held) Get(ctx context.Context, _ string, _ int64) (io.ReadCloser, blob.Attr, error) {
	close(h.asked)
	select {
	case <-ctx.Done():
		return nil, blob.Attr{}, context.Cause(ctx)
	case <-time.After(20 * time.Second):
		return nil, blob.Attr{}, errNobody
	}
}

// An attempt heartbeats also while its storage keeps it waiting, and ends when the server says so.
func TestHeartbeatsBeforeTheProcess(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		kind   string // "" = cancelled
	}{
		"the workflow cancels":    {temporal.NewCanceledError(), ""},
		"the server has given up": {serviceerror.NewNotFound("activity not found"), ErrPreempted},
	} {
		t.Run(name, func(t *testing.T) {
			env := testEnvironment(t)
			b := held{mem.New(time.Now), make(chan struct{})}
			a := &Activities{Bucket: b, Child: Child{Command: []string{"false"}}, HeartbeatEvery: 10 * time.Millisecond,
				Heartbeat: func(context.Context, []byte, any) error {
					select {
					case <-b.asked:
						return c.answer
					default:
						return nil
					}
				}}
			env.RegisterActivity(a.Train)
			_, err := env.ExecuteActivity(a.Train, TrainInput{Item: Item{Run: "x", SpecKey: "specs/x.json", TotalSteps: 9}})
			var p Progress
			var app *temporal.ApplicationError
			var cancelled *temporal.CanceledError
			if c.kind == "" {
				if !errors.As(err, &cancelled) || cancelled.Details(&p) != nil {
					t.Errorf("%v, want a cancellation", err)
				}
			} else if !errors.As(err, &app) || app.Type() != c.kind || app.Details(&p) != nil {
				t.Errorf("%v, want %s", err, c.kind)
			}
			if p.Total != 9 || p.StartedAt.IsZero() {
				t.Errorf("its progress is %+v", p)
			}
		})
	}
}

// An attempt that the server has given up forgets nothing, even where it has not noticed yet.
func TestGivenUpAttemptForgetsNothing(t *testing.T) {
	env := testEnvironment(t)
	b := mem.New(time.Now)
	for _, key := range []string{"specs/x.json", "runs/x/result.json"} {
		if _, err := blob.PutBytes(t.Context(), b, key, []byte("{}"), blob.Any); err != nil {
			t.Fatal(err)
		}
	}
	a := &Activities{Bucket: b, Child: Child{Command: []string{"false"}}, HeartbeatEvery: time.Hour,
		Heartbeat: func(context.Context, []byte, any) error {
			return serviceerror.NewNotFound("activity not found")
		}}
	env.RegisterActivity(a.Train)
	_, err := env.ExecuteActivity(a.Train, TrainInput{Item: Item{Run: "x", SpecKey: "specs/x.json"}, Attempt: 1, Forget: true})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != ErrPreempted {
		t.Errorf("%v, want %s", err, ErrPreempted)
	}
	if _, err := b.Stat(t.Context(), "runs/x/result.json"); err != nil {
		t.Errorf("the result: %v", err)
	}
}

// The heartbeat right after a run has been forgotten says so, and so does all that comes later.
func TestForgottenIsSaidAtOnce(t *testing.T) {
	for name, in := range map[string]TrainInput{
		"the first attempt":                          {Attempt: 1, Forget: true},
		"a second attempt, the first forgot nothing": {Attempt: 2, Forget: true},
		"the first attempt has forgotten":            {Attempt: 2},
		"not forced":                                 {Attempt: 1},
	} {
		t.Run(name, func(t *testing.T) {
			env := testEnvironment(t)
			b := mem.New(time.Now)
			for _, key := range []string{"specs/x.json", "runs/x/result.json"} {
				if _, err := blob.PutBytes(t.Context(), b, key, []byte("{}"), blob.Any); err != nil {
					t.Fatal(err)
				}
			}
			var said []bool
			a := &Activities{Bucket: b, Child: Child{Command: []string{"false"}}, HeartbeatEvery: time.Hour,
				Heartbeat: func(_ context.Context, _ []byte, details any) error {
					p, _ := details.(Progress)
					_, err := b.Stat(t.Context(), "runs/x/result.json")
					if there := err == nil; there == p.Forgotten {
						t.Errorf("the heartbeat says forgotten %v, the result is there: %v", p.Forgotten, there)
					}
					said = append(said, p.Forgotten)
					return nil
				}}
			env.RegisterActivity(a.Train)
			in.Item = Item{Run: "x", SpecKey: "specs/x.json"}
			_, err := env.ExecuteActivity(a.Train, in)
			var app *temporal.ApplicationError
			var p Progress
			if !errors.As(err, &app) || app.Details(&p) != nil {
				t.Fatal(err)
			}
			var want []bool
			if in.Forget {
				want = []bool{false, true}
			}
			if p.Forgotten != in.Forget || !slices.Equal(said, want) {
				t.Errorf("heartbeats %v, want %v; the end says %v", said, want, p.Forgotten)
			}
		})
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Error(err)
	}
}
