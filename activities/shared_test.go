package activities

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/layout"
)

// gone is the id of a process that does not exist: ids end far below.
const gone = 1 << 30

// Who has a run, by what HEAD.json and the server say.
func TestWhoHoldsARun(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	attempt := checkpoint.Owner{WorkflowID: "S3/ablations/e2", RunID: "r", ActivityID: "17", Host: "far"}
	lives := OwnerState{Known: true, Lives: true, Progress: &Progress{Step: 36}}
	for name, c := range map[string]struct {
		owner checkpoint.Owner // of HEAD.json; none: there is no HEAD.json
		says  OwnerState
		age   time.Duration // of HEAD.json
		want  string
		step  int64
	}{
		"nobody":                               {},
		"ourselves":                            {owner: checkpoint.Owner{WorkflowID: "S4/ablations/e2"}, says: lives},
		"a living attempt":                     {owner: attempt, says: lives, age: time.Hour, want: "e2 of sweep S3", step: 36},
		"an attempt that has ended":            {owner: attempt, says: OwnerState{Known: true}},
		"another cluster's, at work":           {owner: attempt, age: time.Minute, want: "e2 of sweep S3"},
		"another cluster's, long silent":       {owner: attempt, age: time.Hour},
		"an experiment without a sweep":        {owner: checkpoint.Owner{WorkflowID: "one"}, says: lives, want: "one", step: 36},
		"given a checkpoint by a fork":         {owner: checkpoint.Owner{Host: "far"}},
		"started by hand":                      {owner: checkpoint.Owner{Host: "far", PID: 7}, want: "a process on far"},
		"started by hand, long silent":         {owner: checkpoint.Owner{Host: "far", PID: 7}, age: time.Hour},
		"started here by hand, and killed":     {owner: checkpoint.Owner{Host: here, PID: gone}},
		"started here by hand, and at work":    {owner: checkpoint.Owner{Host: here, PID: os.Getpid()}, want: "a process on " + here},
		"another machine's process, as killed": {owner: checkpoint.Owner{Host: "far", PID: gone}, want: "a process on far"},
	} {
		t.Run(name, func(t *testing.T) {
			written := time.Now().Add(-c.age)
			a := &Activities{
				Bucket:   mem.New(func() time.Time { return written }),
				AskOwner: func(context.Context, checkpoint.Owner) (OwnerState, error) { return c.says, nil },
			}
			want := holder{name: c.want}
			if c.owner != (checkpoint.Owner{}) {
				if _, err := checkpoint.Acquire(t.Context(), layout.Run(a.Bucket, "x"), c.owner); err != nil {
					t.Fatal(err)
				}
				want.term = 1
			}
			got, err := a.whoHolds(t.Context(), "x", "S4/ablations/e2")
			if err != nil {
				t.Fatal(err)
			}
			if got.progress.Step != c.step {
				t.Errorf("at step %d, want %d", got.progress.Step, c.step)
			}
			got.progress = Progress{}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(holder{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Follow waits for the owner's end, and for no longer.
func TestFollow(t *testing.T) {
	looks := 0
	a := &Activities{Bucket: mem.New(time.Now)}
	a.AskOwner = func(context.Context, checkpoint.Owner) (OwnerState, error) {
		looks++
		return OwnerState{Known: true, Lives: looks < 3}, nil
	}
	owner := checkpoint.Owner{WorkflowID: "S3/ablations/e2"}
	if _, err := checkpoint.Acquire(t.Context(), layout.Run(a.Bucket, "x"), owner); err != nil {
		t.Fatal(err)
	}
	st, err := a.Follow(t.Context(), Item{Run: "x"})
	if err != nil || looks != 3 || st.Owner != owner.WorkflowID {
		t.Errorf("after %d looks: %+v, %v", looks, st, err)
	}
	a.AskOwner = func(context.Context, checkpoint.Owner) (OwnerState, error) { return OwnerState{}, blob.ErrTransient }
	if _, err := a.Follow(t.Context(), Item{Run: "x"}); !errors.Is(err, blob.ErrTransient) {
		t.Errorf("the server cannot be asked: %v", err)
	}
}
