package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/preflight"
	"trmsweep/internal/protocol"
	"trmsweep/internal/study"
	"trmsweep/internal/supervise"
	"trmsweep/internal/version"
)

// PreflightInput names the specs that a host is asked to be fit for.
type PreflightInput struct {
	SpecKeys []string `json:"spec_keys,omitempty"`
}

// TrialInput is one spec to train for a few steps.
type TrialInput struct {
	ID      string `json:"id"` // the experiment's, for people
	SpecKey string `json:"spec_key"`
}

// Preflight runs the checks of this host.
func (a *Activities) Preflight(ctx context.Context, in PreflightInput) (preflight.Table, error) {
	if a.Checks == nil {
		return preflight.Table{}, temporal.NewNonRetryableApplicationError("this worker has no checks", ErrUnavailable, nil)
	}
	if a.Slots.Crowded() {
		return preflight.Table{}, errCrowded()
	}
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	var specs []experiment.Spec
	for _, key := range in.SpecKeys {
		s, err := a.readSpec(ctx, key)
		if err != nil {
			return preflight.Table{}, err
		}
		specs = append(specs, s)
	}
	slot, release, ok := a.Child.Slots.acquire(ctx.Done())
	if !ok {
		return preflight.Table{}, ctx.Err()
	}
	defer release()
	return preflight.Run(ctx, a.Checks(specs, slot.Env)), ctx.Err() // told to stop: it is no fault of the host
}

// Pollers says whether workers listen on every task queue.
func (a *Activities) Pollers(ctx context.Context) (preflight.Row, error) {
	if a.ListPollers == nil {
		return preflight.Row{}, temporal.NewNonRetryableApplicationError("this worker cannot ask the server for pollers", ErrUnavailable, nil)
	}
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	return preflight.Run(ctx, []preflight.Check{{Name: "workers", Run: a.ListPollers}}).Rows[0], ctx.Err()
}

// Hosts are the workers that live.
func (a *Activities) Hosts(ctx context.Context) ([]study.LivingHost, error) {
	if a.ListHosts == nil {
		return nil, temporal.NewNonRetryableApplicationError("this worker cannot ask the server for hosts", ErrUnavailable, nil)
	}
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	return a.ListHosts(ctx)
}

// Trial trains a spec for ten steps in a child process. A trial that succeeded with this
// build and this backend is not repeated.
func (a *Activities) Trial(ctx context.Context, in TrialInput) (preflight.Row, error) {
	if a.Slots.Crowded() {
		return preflight.Row{}, errCrowded()
	}
	ctx, _, stop := a.withHeartbeats(ctx)
	defer stop()
	ctx, cancel := untilWorkerStops(ctx)
	defer cancel()
	spec, _, err := a.specText(ctx, in.SpecKey)
	if err != nil {
		return preflight.Row{}, err
	}
	key := a.trialKey(spec)
	if row, ok := a.cachedTrial(ctx, key); ok {
		return row, nil
	}
	row, err := a.Child.Try(ctx, in.ID, spec)
	if err != nil {
		return row, err
	}
	if row.OK && key != "" {
		data, err := json.Marshal(row)
		if err != nil {
			return row, err
		}
		if _, err := blob.PutBytes(ctx, a.Bucket, key, data, blob.Any); err != nil {
			return row, fmt.Errorf("remember trial: %w", err)
		}
	}
	return row, nil
}

// untilWorkerStops also ends when the worker does: nothing of a trial is worth waiting for.
func untilWorkerStops(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if activity.IsActivity(ctx) {
		stopping := activity.GetWorkerStopChannel(ctx)
		go func() {
			select {
			case <-stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// trialKey is the key of the row of a successful trial; a build that does not know its commit has none.
func (a *Activities) trialKey(spec []byte) string {
	code := version.Code()
	if code == "devel" || strings.HasSuffix(code, "-dirty") {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q\n%s", code, a.Child.Args, spec)
	return layout.TrialKey(hex.EncodeToString(h.Sum(nil)[:16]))
}

func (a *Activities) cachedTrial(ctx context.Context, key string) (preflight.Row, bool) {
	var row preflight.Row
	if key == "" {
		return row, false
	}
	data, _, err := blob.ReadAll(ctx, a.Bucket, key, 0)
	if err != nil || json.Unmarshal(data, &row) != nil || !row.OK {
		return row, false
	}
	row.Detail += " (passed before)"
	return row, true
}

// Try runs the trial program on a spec in JSON. A process that dies is a row that says so.
func (c Child) Try(ctx context.Context, name string, spec []byte) (preflight.Row, error) {
	row := preflight.Row{Check: "trial of " + name}
	command := c.Trial
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return row, fmt.Errorf("find this program: %w", err)
		}
		command = []string{self, "trial"}
	}
	slot, release, ok := c.Slots.acquire(ctx.Done())
	if !ok {
		return row, ctx.Err()
	}
	defer release()
	begin := time.Now()
	cmd := exec.CommandContext(ctx, command[0], append(append(append([]string{}, command[1:]...), "--spec", "-"), c.Args...)...)
	cmd.Env = slices.Concat(os.Environ(), c.Env, slot.Env)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.ExtraFiles = c.Inherit
	var out, log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(spec), &out, &log
	err := supervise.Tied(cmd, syscall.SIGKILL, cmd.Run)
	row.Seconds = time.Since(begin).Seconds()
	if ctx.Err() != nil {
		return row, ctx.Err()
	}
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return row, fmt.Errorf("start %s: %w", command[0], err)
	}
	// A signal says nothing about the model; memory that is short is short every time.
	passing := []int{protocol.ExitBySignal, protocol.ExitPreempted, protocol.ExitBusy}
	if ended != nil && slices.Contains(passing, ended.ExitCode()) {
		return row, fmt.Errorf("the trial of %s was ended by %v: run fewer at once on this host if its memory is short", name, err)
	}
	if err != nil {
		tail := strings.TrimSpace(log.String())
		row.Detail = fmt.Sprintf("the process ended with %v: %s", err, tail[:min(len(tail), 1500)])
		return row, nil
	}
	if err := json.Unmarshal(out.Bytes(), &row); err != nil {
		row.Detail = fmt.Sprintf("the process printed %.300q", out.String())
	}
	return row, nil
}
