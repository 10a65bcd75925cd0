package train

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/blob/mem"
)

// TestCompiledProgramsAreShared: a host that comes after another one compiles nothing, and trains to the same state.
func TestCompiledProgramsAreShared(t *testing.T) {
	xla := backendtest.XLA(t)
	store := mem.New(nil)
	train := func(host, run string) (state, log string) {
		t.Helper()
		var said bytes.Buffer
		a := attempt(t, store, tiny(t), func(o *Options) {
			o.Backend, o.Run, o.MaxSteps = xla, run, 2
			o.CacheDir = filepath.Join(t.TempDir(), host)
			o.Logger = slog.New(slog.NewTextHandler(&said, nil))
		})
		if a.err != nil {
			t.Fatal(a.err)
		}
		return a.res.StateSHA256, said.String()
	}
	first, log := train("first", "a")
	if n := strings.Count(log, "from=compiler seconds="); n < 2 || strings.Contains(log, "from=store") {
		t.Errorf("%d programs compiled:\n%s", n, log)
	}
	second, log := train("second", "b")
	if n := strings.Count(log, "from=store seconds="); n < 2 || strings.Contains(log, "from=compiler") {
		t.Errorf("%d programs from the store:\n%s", n, log)
	}
	if first != second {
		t.Errorf("compiled: state %s; loaded: %s", first, second)
	}
}
