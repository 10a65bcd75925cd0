package activities

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"trmsweep/configs"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/experiment"
	"trmsweep/internal/preflight"
)

// Whatever way a workflow's input takes, this host's files are read below the data roots only.
func TestSourcesOfWorkflows(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "x.csv")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source string
		roots  []string
		ok     bool
	}{
		{"generate", nil, true},
		{"hf:a/b", nil, true},
		{file, []string{root}, true},
		{file, nil, false},
		{"/proc/self/environ", []string{root}, false},
		{"/dev/zero", []string{root}, false},
	} {
		used := 0
		a := &Activities{Configs: configs.FS, Profile: "smoke", Bucket: mem.New(time.Now), DataRoots: c.roots,
			ensure: func(context.Context, experiment.Spec, func(any)) (string, bool, error) {
				used++
				return "h", false, nil
			},
			localHash: func(context.Context, experiment.Spec) (string, error) { used++; return "", nil },
			Checks:    func([]experiment.Spec, []string) []preflight.Check { used++; return nil },
			Child:     Child{Trial: []string{"sh", "-c", "echo '{\"ok\":true}'"}}}
		spec, err := experiment.Resolve(configs.FS, "e2_2_t2_n2", "smoke", []string{"data_source=" + c.source}, nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := blob.PutBytes(t.Context(), a.Bucket, "specs/x.json", data, blob.Any); err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]func(ctx context.Context) error{
			"plan": func(ctx context.Context) error {
				_, err := a.Plan(ctx, PlanInput{Names: []string{"TNSweep"}, Input: SweepInput{Overrides: []string{"data_source=" + c.source}}})
				return err
			},
			"dataset": func(ctx context.Context) error {
				_, err := a.Dataset(ctx, DatasetInput{SpecKeys: []string{"specs/x.json"}})
				return err
			},
			"a finished run's file": func(ctx context.Context) error {
				return a.sameData(ctx, Item{SpecKey: "specs/x.json"}, "trained")
			},
			"preflight": func(ctx context.Context) error {
				_, err := a.Preflight(ctx, PreflightInput{SpecKeys: []string{"specs/x.json"}})
				return err
			},
			"trial": func(ctx context.Context) error {
				_, err := a.Trial(ctx, TrialInput{ID: "x", SpecKey: "specs/x.json"})
				return err
			},
			"training": func(ctx context.Context) error {
				tr := &tracker{}
				_, err := a.prepare(ctx, TrainInput{Item: Item{Run: "x", SpecKey: "specs/x.json"}}, checkpoint.Owner{}, tr)
				if err != nil {
					err = tr.fault(err)
				}
				return err
			},
		} {
			used = 0
			err := call(t.Context())
			var app *temporal.ApplicationError
			refused := errors.As(err, &app) && app.NonRetryable() && app.Type() == ErrConfig && strings.Contains(err.Error(), "--data-root")
			right := err == nil
			if !c.ok {
				right = refused && used == 0
			}
			if !right {
				t.Errorf("%s of %s below %v: %v", name, c.source, c.roots, err)
			}
		}
	}
}
