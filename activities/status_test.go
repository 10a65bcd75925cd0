package activities

import (
	"context"
	"errors"
	"strings"
	"testing"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
	"trmsweep/internal/tensor"
)

// committed makes a run with checkpoints of steps 10 and 20, and returns HEAD.json as it was after
// the first, and the newest checkpoint.
func committed(t *testing.T, run blob.Bucket) (old []byte, newest checkpoint.Commit) {
	t.Helper()
	w, err := checkpoint.Acquire(t.Context(), run, checkpoint.Owner{WorkflowID: "w"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int64{10, 20} {
		if old, _, err = blob.ReadAll(t.Context(), run, layout.HeadFile, 0); err != nil {
			t.Fatal(err)
		}
		s := checkpoint.Snapshot{Step: step, State: tensor.State{"a": {DType: tensor.U8, Shape: []int{1}, Data: []byte{1}}}}
		if newest, err = w.Save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return old, newest
}

// The step that status tells is the one that the next attempt would go on from, whatever HEAD.json says.
func TestStatusTellsWhatIsThere(t *testing.T) {
	const elsewhere = `{"format":1,"epoch":1,"lease":"x",` +
		`"entries":[{"step":99,"epoch":1,"manifest":"ckpt/000000000099-000001-aaaaaaaaaaaaaaaa/MANIFEST.json"}]}`
	for _, c := range []struct {
		name     string
		head     func(old []byte) string // what HEAD.json is replaced by; nil: it stays, "": it is deleted
		manifest bool                    // the newest manifest is damaged
		step     int64
		says     string
	}{
		{"whole", nil, false, 20, ""},
		{"HEAD lost", func([]byte) string { return "" }, false, 20, ""},
		{"HEAD damaged", func([]byte) string { return "{" }, false, 20, ""},
		{"HEAD older", func(old []byte) string { return string(old) }, false, 20, ""},
		{"HEAD of another run", func([]byte) string { return elsewhere }, false, 20, ""},
		{"HEAD of a newer version", func([]byte) string { return `{"format":99}` }, false, 0, "use a newer one"},
		{"newest manifest damaged", nil, true, 10, ""},
		{"HEAD lost, newest manifest damaged", func([]byte) string { return "" }, true, 10, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, p := planned(t, "TNSweep")
			it := p.Items[0]
			run := layout.Run(a.Bucket, it.Run)
			old, newest := committed(t, run)
			if c.head != nil {
				if err := run.Delete(t.Context(), layout.HeadFile, blob.Any); err != nil {
					t.Fatal(err)
				}
				if text := c.head(old); text != "" {
					if _, err := blob.PutBytes(t.Context(), run, layout.HeadFile, []byte(text), blob.Any); err != nil {
						t.Fatal(err)
					}
				}
			}
			if c.manifest {
				if _, err := blob.PutBytes(t.Context(), run, newest.Entry.Manifest, []byte("{"), blob.Any); err != nil {
					t.Fatal(err)
				}
			}
			st, err := a.StatusAll(t.Context(), []Item{it})
			if err != nil {
				t.Fatal(err)
			}
			said := (st[0].Error != "") == (c.says != "") && strings.Contains(st[0].Error, c.says)
			if st[0].CommittedStep != c.step || !said {
				t.Errorf("step %d, error %q; want step %d, error %q", st[0].CommittedStep, st[0].Error, c.step, c.says)
			}
		})
	}
}

// A run that has a checkpoint is begun, also if its HEAD.json is lost: it is not forked over, and keeps an older program's name.
func TestRunWithoutHeadIsBegun(t *testing.T) {
	a, p := planned(t, "TNSweep")
	from, to := p.Items[0], p.Items[1]
	for _, it := range []Item{from, to} {
		run := layout.Run(a.Bucket, it.Run)
		committed(t, run)
		if err := run.Delete(t.Context(), layout.HeadFile, blob.Any); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Fork(t.Context(), ForkInput{From: from, To: to}); err != nil {
		t.Fatal(err)
	}
	run := layout.Run(a.Bucket, to.Run)
	if generation, err := checkpoint.HeadGeneration(t.Context(), run); generation != 0 || err != nil {
		t.Errorf("HEAD.json was written, at generation %d: %v", generation, err)
	}
	if name, err := checkpoint.FindRun(t.Context(), a.Bucket, []string{"none", to.Run}); name != to.Run || err != nil {
		t.Errorf("found run %q, %v; want %q", name, err, to.Run)
	}
}

// A check that was told to stop has found nothing: it fails as an activity, which is tried again, and says nothing of the host.
func TestInterruptedPreflightIsNoFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := &Activities{ListPollers: func(ctx context.Context) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}}
	row, err := a.Pollers(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(row.Detail, "not checked to the end") {
		t.Errorf("%+v, %v", row, err)
	}
}
