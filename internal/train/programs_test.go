package train

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trmsweep/internal/backend"
	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/protocol"
)

// said is what is logged, for several goroutines.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), what)
}

// TestProgramsBesideTheRest: programs are prepared while the state is made, so that an attempt that is held up there is not held up by
// them again; what is wrong with them is said before the first step; a notice ends the wait.
func TestProgramsBesideTheRest(t *testing.T) {
	plugin := "xla:" + filepath.Join(backendtest.FakePlugin(t, "beside"), "pjrt_c_api_beside_plugin.so")
	if err := backend.Check(plugin); err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	// on trains on the fake plugin and calls at while the attempt restores, before it writes the run's specification.
	on := func(at func(log *said), change func(*Options)) *tried {
		log := &said{}
		b := &beforePut{Bucket: mem.New(nil), key: "runs/r/spec.json", meanwhile: func() { at(log) }}
		return attempt(t, b, tiny(t), func(o *Options) {
			o.Backend, o.MaxSteps, o.CacheDir = plugin, 1, t.TempDir()
			o.Logger = slog.New(slog.NewTextHandler(log, nil))
			change(o)
		})
	}
	trained := func(a *tried) bool {
		for _, e := range a.of(protocol.EventProgress) {
			if e.State == protocol.StateTraining {
				return true
			}
		}
		return false
	}
	t.Run("beside", func(t *testing.T) {
		a := on(func(log *said) {
			for deadline := time.Now().Add(time.Minute); log.count("program compiled") < 3; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Error("no programs while the state is restored")
					return
				}
			}
		}, func(*Options) {})
		if a.err != nil || !trained(a) {
			t.Errorf("trained %v, %v", trained(a), a.err)
		}
	})
	t.Run("told to stop", func(t *testing.T) {
		notice := make(chan string, 1)
		a := on(func(*said) {
			select {
			case notice <- "spot capacity is taken back":
			default:
			}
		}, func(o *Options) { o.Notice = notice })
		if !errors.Is(a.err, ErrPreempted) || a.res.Step != 0 {
			t.Errorf("step %d, %v", a.res.Step, a.err)
		}
	})
	t.Run("a fault", func(t *testing.T) {
		t.Setenv("FAKE_PJRT_COMPILE", "oom")
		a := on(func(*said) {}, func(*Options) {})
		if !errors.Is(a.err, backend.ErrTooLarge) ||
			!strings.Contains(a.err.Error(), "compile the programs of e2_2_t2_n2: build the gradients graph") {
			t.Errorf("%v", a.err)
		}
		if trained(a) {
			t.Error("it trained")
		}
	})
}
