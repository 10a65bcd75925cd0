package activities

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"

	"trmsweep/internal/blob/mem"
	"trmsweep/internal/experiment"
	"trmsweep/internal/preflight"
)

// Every activity heartbeats from its first call of a storage or server that keeps it
// waiting, and ends when it hears that nobody wants it any more.
func TestEveryActivityBeats(t *testing.T) {
	it := Item{Run: "x", SpecKey: "specs/x.json"}
	for name, run := range map[string]struct {
		activity func(a *Activities) any
		input    any
	}{
		"Status":    {func(a *Activities) any { return a.Status }, it},
		"StatusAll": {func(a *Activities) any { return a.StatusAll }, []Item{it}},
		"Dataset":   {func(a *Activities) any { return a.Dataset }, DatasetInput{SpecKeys: []string{"specs/x.json"}}},
		"Report":    {func(a *Activities) any { return a.Report }, ReportInput{Sweep: "s", Items: []Item{it}}},
		"Preflight": {func(a *Activities) any { return a.Preflight }, PreflightInput{SpecKeys: []string{"specs/x.json"}}},
		"Trial":     {func(a *Activities) any { return a.Trial }, TrialInput{SpecKey: "specs/x.json"}},
		"Extend":    {func(a *Activities) any { return a.Extend }, ExtendInput{Item: it}},
		"Fork":      {func(a *Activities) any { return a.Fork }, ForkInput{From: it, To: it}},
	} {
		t.Run(name, func(t *testing.T) {
			b := held{mem.New(time.Now), make(chan struct{})}
			a := &Activities{Bucket: b, HeartbeatEvery: 10 * time.Millisecond,
				ensure: func(context.Context, experiment.Spec, func(any)) (string, bool, error) { return "", false, nil },
				Checks: func([]experiment.Spec, []string) []preflight.Check { return nil },
				Heartbeat: func(context.Context, []byte, any) error {
					select {
					case <-b.asked:
						return serviceerror.NewNotFound("activity not found")
					default:
						return nil
					}
				}}
			env := testEnvironment(t)
			env.RegisterActivity(run.activity(a))
			if _, err := env.ExecuteActivity(run.activity(a), run.input); err == nil || strings.Contains(err.Error(), errNobody.Error()) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// Work goes on while the server is away, and its heartbeats tell what it reported last.
func TestWorkOutlastsTheServer(t *testing.T) {
	heard := make(chan struct{})
	var told atomic.Int64
	a, p := planned(t, "TNSweep")
	a.HeartbeatEvery = 10 * time.Millisecond
	a.Heartbeat = func(_ context.Context, _ []byte, details any) error {
		if n, _ := details.(int); n == 7 && told.Add(1) == 3 {
			close(heard)
		}
		return serviceerror.NewUnavailable("connection refused")
	}
	a.ensure = func(ctx context.Context, _ experiment.Spec, progress func(any)) (string, bool, error) {
		progress(7)
		select {
		case <-heard:
			return "hash", true, nil
		case <-ctx.Done():
			return "", false, context.Cause(ctx)
		}
	}
	env := testEnvironment(t)
	env.RegisterActivity(a.Dataset)
	v, err := env.ExecuteActivity(a.Dataset, DatasetInput{SpecKeys: specKeys(p)})
	var out DatasetResult
	if err != nil || v.Get(&out) != nil || out.Built != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}
