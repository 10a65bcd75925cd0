package activities

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

// saves is a training process that ends by itself once told to by a file, and
// saves when it is asked to stop.
const saves = `echo '{"type":"progress","step":7,"total":10,"committed_step":5}'
trap 'echo "{\"type\":\"committed\",\"step\":7,\"committed_step\":7}"; exit 3' TERM
while [ ! -e "$0.done" ]; do sleep 0.05; done
echo '{"type":"result","step":10,"committed_step":10,"state_sha256":"abc"}'`

// What the server says to heartbeats decides what becomes of an attempt.
func TestHeartbeats(t *testing.T) {
	asked := temporal.NewCanceledError()
	gone := serviceerror.NewNotFound("activity not found")
	away := serviceerror.NewUnavailable("connection refused")
	second := func(err error) func(int64) error {
		return func(n int64) error {
			if n > 1 {
				return err
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		answer func(n int64) error // to the n-th heartbeat
		ends   int64               // heartbeats after which the process ends by itself
		kind   string              // of the error; "" = none, "cancelled"
	}{
		"heard":                   {func(int64) error { return nil }, 2, ""},
		"a server that is away":   {func(int64) error { return away }, 3, ""},
		"the workflow cancels":    {second(asked), 0, "cancelled"},
		"the server has given up": {second(gone), 0, ErrPreempted},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := dir + "/train"
			writeFile(t, script, saves)
			var s testsuite.WorkflowTestSuite
			env := s.NewTestActivityEnvironment()
			env.SetTestTimeout(time.Minute)
			var n atomic.Int64
			a := &Activities{Bucket: mem.New(time.Now), Child: Child{Command: []string{"sh", script}, TempDir: dir}, HeartbeatEvery: 100 * time.Millisecond, Heartbeat: func(context.Context, []byte, Progress) error {
				if i := n.Add(1); i == c.ends {
					writeFile(t, script+".done", "")
				}
				return c.answer(n.Load())
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

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Error(err)
	}
}
