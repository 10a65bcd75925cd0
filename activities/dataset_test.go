package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"trmsweep/configs"
	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/layout"
	"trmsweep/internal/protocol"
)

// planned is activities over a memory store with the sweep's specs in it.
func planned(t *testing.T, sweep string) (*Activities, Plan) {
	t.Helper()
	a := &Activities{Configs: configs.FS, Profile: "smoke", Bucket: mem.New(time.Now)}
	p, err := a.Plan(context.Background(), PlanInput{Names: []string{sweep}})
	if err != nil {
		t.Fatal(err)
	}
	return a, p
}

func specKeys(p Plan) []string {
	var keys []string
	for _, it := range p.Items {
		if it.SameAs == "" {
			keys = append(keys, it.SpecKey)
		}
	}
	return keys
}

func TestDatasetOncePerKind(t *testing.T) {
	a, p := planned(t, "AllAblations")
	calls := map[int]int{}
	a.ensure = func(_ context.Context, s experiment.Spec, _ func(any)) (string, bool, error) {
		calls[s.DataPuzzles]++
		return fmt.Sprint(s.DataPuzzles), true, nil
	}
	out, err := a.Dataset(context.Background(), DatasetInput{SpecKeys: specKeys(p)})
	if err != nil {
		t.Fatalf("%v after calls %v", err, calls)
	}
	type counts struct{ Hashes, Built, Asked int }
	if diff := cmp.Diff(counts{Hashes: 2, Built: 2, Asked: 2}, counts{len(out.Hashes), out.Built, len(calls)}); diff != "" {
		t.Fatalf("datasets of the study (-want +got):\n%s", diff)
	}
	for n, k := range calls {
		if k != 1 {
			t.Errorf("dataset of %d puzzles made %d times", n, k)
		}
	}
}

func TestDatasetFaults(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		final bool
		calls int
	}{
		"the user's data": {fmt.Errorf("row 7: %w", dataset.ErrInput), true, 2},
		"a network":       {errors.New("connection reset"), false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, p := planned(t, "AllAblations")
			calls := 0
			a.ensure = func(context.Context, experiment.Spec, func(any)) (string, bool, error) {
				if calls++; calls == 1 {
					return "", false, c.err
				}
				return "h", true, nil
			}
			_, err := a.Dataset(context.Background(), DatasetInput{SpecKeys: specKeys(p)})
			var app *temporal.ApplicationError
			if final := errors.As(err, &app) && app.NonRetryable() && app.Type() == ErrConfig; err == nil || final != c.final || calls != c.calls {
				t.Errorf("error %v, final %v, %d datasets tried; want final %v, %d tried", err, final, calls, c.final, c.calls)
			}
		})
	}
}

func TestStatusAll(t *testing.T) {
	a, p := planned(t, "TNSweep")
	put := func(it Item, r protocol.RunResult) {
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := blob.PutBytes(context.Background(), a.Bucket, "runs/"+it.Run+"/"+layout.ResultFile, data, 0); err != nil {
			t.Fatal(err)
		}
	}
	put(p.Items[1], protocol.RunResult{Run: p.Items[1].Run, SpecHash: p.Items[1].SpecHash, Seed: p.Items[1].Seed, Steps: 7, StateSHA256: "s"})
	put(p.Items[2], protocol.RunResult{Run: p.Items[2].Run, SpecHash: "another", Seed: p.Items[2].Seed})
	got, err := a.StatusAll(context.Background(), p.Items)
	if err != nil || len(got) != len(p.Items) {
		t.Fatalf("%d statuses, %v", len(got), err)
	}
	for i, st := range got {
		want := st
		want.Finished, want.Error = i == 1, ""
		if diff := cmp.Diff(want, st); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Items[i].ID, diff)
		}
	}
	want := got[1]
	want.Steps, want.StateSHA256 = 7, "s"
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("%s (-want +got):\n%s", p.Items[1].ID, diff)
	}
}

// A result or HEAD.json that is damaged or another run's does not fail the run, which training mends; one of a newer version is left alone.
func TestStatusOfDamage(t *testing.T) {
	for name, c := range map[string]struct {
		object, text string
		says         string
	}{
		"result cut":       {layout.ResultFile, `{"format": 1, "run`, ""},
		"result elsewhere": {layout.ResultFile, `{"format": 1, "run": "other"}`, ""},
		"result newer":     {layout.ResultFile, `{"format": 99}`, "newer version"},
		"HEAD cut":         {"HEAD.json", `{"format": 1,`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, p := planned(t, "TNSweep")
			if _, err := blob.PutBytes(t.Context(), a.Bucket, "runs/"+p.Items[0].Run+"/"+c.object, []byte(c.text), blob.Any); err != nil {
				t.Fatal(err)
			}
			st, err := a.StatusAll(t.Context(), p.Items[:1])
			if err != nil || st[0].Finished || (st[0].Error != "") != (c.says != "") || !strings.Contains(st[0].Error, c.says) {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
}

// A finished run whose file has changed since is not taken for the new file's.
func TestStatusLooksAtTheFile(t *testing.T) {
	a, p := planned(t, "TNSweep")
	it := p.Items[0]
	data, err := protocol.RunResult{Run: it.Run, SpecHash: it.SpecHash, Seed: it.Seed, Steps: 7, DatasetHash: "old"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.PutBytes(t.Context(), a.Bucket, "runs/"+it.Run+"/"+layout.ResultFile, data, blob.Any); err != nil {
		t.Fatal(err)
	}
	for now, says := range map[string]string{"old": "", "": "", "new": "makes new now: put the old file back"} {
		a.localHash = func(context.Context, experiment.Spec) (string, error) { return now, nil }
		st, err := a.StatusAll(t.Context(), []Item{it})
		if err != nil || st[0].Finished != (says == "") || !strings.Contains(st[0].Error, says) {
			t.Errorf("%q: %+v %v", now, st, err)
		}
	}
}

// A run that a program with another hash format began keeps its name; one that has no checkpoint is begun anew.
func TestPlanFindsRunsOfOlderVersions(t *testing.T) {
	s, err := experiment.Resolve(configs.FS, "e2_2_t2_n2", "smoke", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	head := func(entries string) string { return `{"format":1,"epoch":1,"lease":"x","entries":[` + entries + `]}` }
	const entry = `{"manifest":"ckpt/x/MANIFEST.json","step":5}`
	names := s.RunNames()
	for _, tc := range []struct {
		name  string
		heads map[string]string // run -> HEAD.json
		want  string
	}{
		{"none", nil, names[0]},
		{"older", map[string]string{names[2]: head(entry)}, names[2]},
		{"older, nothing committed", map[string]string{names[2]: head("")}, names[0]},
		{"older and of now", map[string]string{names[0]: head(entry), names[2]: head(entry)}, names[0]},
		{"older, damaged", map[string]string{names[2]: "{"}, names[2]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &Activities{Configs: configs.FS, Profile: "smoke", Bucket: mem.New(time.Now)}
			for run, text := range tc.heads {
				if _, err := blob.PutBytes(t.Context(), a.Bucket, "runs/"+run+"/HEAD.json", []byte(text), blob.Absent); err != nil {
					t.Fatal(err)
				}
			}
			p, err := a.Plan(t.Context(), PlanInput{Names: []string{s.Name}})
			if err != nil {
				t.Fatal(err)
			}
			it := p.Items[0]
			if it.Run != tc.want || it.SpecHash != s.Hash() || it.SpecKey != "specs/"+names[0]+".json" {
				t.Errorf("run %s, spec %.16s at %s; want run %s, spec %.16s under its own name", it.Run, it.SpecHash, it.SpecKey, tc.want, s.Hash())
			}
		})
	}
}
