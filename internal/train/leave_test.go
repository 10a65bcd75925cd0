package train

import (
	"errors"
	"testing"

	"trmsweep/internal/checkpoint"
)

// An attempt that has looked at a run takes it only if nobody else has since.
func TestLeaveToAnother(t *testing.T) {
	term := func(n int64) *int64 { return &n }
	mine := checkpoint.Owner{WorkflowID: "S4/ablations/e2"}
	other := checkpoint.Owner{WorkflowID: "S3/ablations/e2", Host: "far"}
	for name, c := range map[string]struct {
		seen   *int64
		head   checkpoint.Head
		leaves bool
	}{
		"nobody has looked":              {nil, checkpoint.Head{Term: 9, Owner: other}, false},
		"as it was":                      {term(9), checkpoint.Head{Term: 9, Owner: other}, false},
		"there is none":                  {term(0), checkpoint.Head{}, false},
		"begun by another since":         {term(0), checkpoint.Head{Term: 1, Owner: other}, true},
		"taken by another since":         {term(9), checkpoint.Head{Term: 10, Owner: other}, true},
		"forgotten by us since":          {term(9), checkpoint.Head{Term: 10, Owner: mine}, false},
		"lost, and rebuilt from the run": {term(0), checkpoint.Head{Term: 9}, false},
	} {
		r := &run{o: Options{Run: "x", SeenTerm: c.seen, Owner: mine}}
		if err := r.leave(c.head); errors.Is(err, checkpoint.ErrFenced) != c.leaves {
			t.Errorf("%s: %v", name, err)
		}
	}
}
