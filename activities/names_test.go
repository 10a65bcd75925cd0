package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
)

// Whatever a workflow hands on, no activity uses a name that leads elsewhere, and the
// server does not try it again.
func TestNamesAreCheckedWhereTheyAreUsed(t *testing.T) {
	good := Item{ID: "x", Run: "x", SpecKey: "specs/x.json"}
	item := func(run, key string) Item {
		it := good
		it.Run, it.SpecKey = run, key
		return it
	}
	dir := t.TempDir()
	marks := filepath.Join(dir, "started")
	a := &Activities{Bucket: mem.New(time.Now), HeartbeatEvery: time.Hour,
		Heartbeat: func(context.Context, []byte, any) error { return nil },
		Child:     Child{Command: []string{"touch", marks}, Trial: []string{"touch", marks}, LogDir: filepath.Join(dir, "state", "logs")},
	}
	if _, err := blob.PutBytes(t.Context(), a.Bucket, good.SpecKey, []byte("{}"), blob.Any); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../outside/pwn", "a/b", "..", ".", "", "/etc/passwd", "a\x00b", `a\b`, "a\n"} {
		for what, call := range map[string]struct{ do, in any }{
			"train":         {a.Train, TrainInput{Item: item(name, good.SpecKey)}},
			"train forget":  {a.Train, TrainInput{Item: item(name, good.SpecKey), Forget: true}},
			"status":        {a.Status, item(name, good.SpecKey)},
			"fork from":     {a.Fork, ForkInput{From: item(name, good.SpecKey), To: good}},
			"fork to":       {a.Fork, ForkInput{From: good, To: item(name, good.SpecKey)}},
			"report":        {a.Report, ReportInput{Sweep: "s", Items: []Item{item(name, good.SpecKey)}}},
			"train spec":    {a.Train, TrainInput{Item: item("x", name)}},
			"extend spec":   {a.Extend, ExtendInput{Item: item("x", name), Epochs: 2}},
			"trial spec":    {a.Trial, TrialInput{ID: "x", SpecKey: name}},
			"report spec":   {a.Report, ReportInput{Sweep: "s", Items: []Item{item("x", name)}}},
			"report folder": {a.Report, ReportInput{Sweep: "../" + name}},
		} {
			env := testEnvironment(t)
			env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{Interceptor()}})
			env.RegisterActivity(a)
			_, err := env.ExecuteActivity(call.do, call.in)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || !app.NonRetryable() || app.Type() != ErrConfig || !strings.Contains(err.Error(), "invalid object key") {
				t.Errorf("%s of %q: %v", what, name, err)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := a.Child.openLog("../../outside/pwn"); !errors.Is(err, blob.ErrKey) {
		t.Errorf("log outside its folder: %v", err)
	}
	if _, err := os.Stat(marks); err == nil {
		t.Error("a process was started")
	}
}

// Errors of keys are final in any wrapping, and all others stay as they are.
func TestFinal(t *testing.T) {
	key := fmt.Errorf("dataset: %w", blob.CheckKey("a//b"))
	var app *temporal.ApplicationError
	if err := final(key); !errors.As(err, &app) || !app.NonRetryable() || app.Type() != ErrConfig {
		t.Errorf("%v", err)
	}
	kept := temporal.NewNonRetryableApplicationError("x", ErrFinal, key)
	for _, err := range []error{nil, errors.New("away"), kept} {
		if final(err) != err {
			t.Errorf("%v became %v", err, final(err))
		}
	}
}
