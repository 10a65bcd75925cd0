package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"trmsweep/internal/blob"
	"trmsweep/internal/layout"
)

// The inputs of workflows are public: whoever reaches the server may start one. A
// name in them becomes a key of the store, a file of the log folder, an argument of
// the training process: it is checked where it enters and again where it is used.

// ItemFaults are what is wrong with the names of an item.
func ItemFaults(it Item) []string {
	var faults []string
	for _, err := range []error{checkRun(it.Run), checkSpecKey(it.SpecKey)} {
		if err != nil {
			faults = append(faults, "input: item: "+err.Error())
		}
	}
	return faults
}

// SpecKeyFaults are what is wrong with keys that specs are read from.
func SpecKeyFaults(keys []string) []string {
	var faults []string
	for _, key := range keys {
		if err := checkSpecKey(key); err != nil {
			faults = append(faults, "input: spec_keys: "+err.Error())
		}
	}
	return faults
}

// SweepFaults is what keeps a sweep's workflow id from naming its reports.
func SweepFaults(id string) []string {
	if err := blob.CheckKey(layout.SweepKey(id, "report.md")); err != nil {
		return []string{"workflow id: its reports cannot be stored: " + err.Error()}
	}
	return nil
}

// checkRun refuses names that are more than one part of a key.
func checkRun(name string) error {
	if strings.Contains(name, "/") {
		return fmt.Errorf("run: %w %q: a run has no slash in its name", blob.ErrKey, name)
	}
	if err := blob.CheckKey(name); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// checkSpecKey refuses everything but what Plan stores.
func checkSpecKey(key string) error {
	if err := blob.CheckKey(key); err != nil {
		return fmt.Errorf("spec_key: %w", err)
	}
	if !strings.HasPrefix(key, layout.Specs) {
		return fmt.Errorf("spec_key: %w %q: specs lie under %s", blob.ErrKey, key, layout.Specs)
	}
	return nil
}

// runOf is the part of the store that belongs to the run of that name.
func (a *Activities) runOf(name string) (blob.Bucket, error) {
	if err := checkRun(name); err != nil {
		return nil, err
	}
	return layout.Run(a.Bucket, name), nil
}

// final makes an error that every attempt would end with one that the server does not
// retry: a name that cannot be a key stays one that cannot.
func final(err error) error {
	if !errors.Is(err, blob.ErrKey) {
		return err
	}
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NonRetryable() {
		return err
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), ErrConfig, err)
}

// Interceptor applies final to what every activity returns.
func Interceptor() interceptor.WorkerInterceptor { return &finality{} }

type finality struct {
	interceptor.WorkerInterceptorBase
}

func (*finality) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	f := &finalActivity{}
	f.Next = next
	return f
}

type finalActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

func (f *finalActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := f.Next.ExecuteActivity(ctx, in)
	return out, final(err)
}
