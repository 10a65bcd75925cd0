package worker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"trmsweep/internal/endpoint"
	"trmsweep/workflows"
)

func TestNobodyAnswers(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	_, _, err := Dial(t.Context(), endpoint.Choice{State: t.TempDir()}, "test", nil, time.Millisecond)
	if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "trmsweep up") {
		t.Errorf("error %v", err)
	}
}

// A command does not wait for a stack that nobody has started.
func TestNoStackIsToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	_, _, err := Dial(t.Context(), endpoint.Choice{State: dir, StateFlag: true}, "test", nil, time.Hour)
	if !errors.Is(err, endpoint.ErrNoStack) || !strings.Contains(err.Error(), "no stack runs on "+dir) {
		t.Errorf("error %v", err)
	}
}

type registered map[string]bool

func (r registered) RegisterWorkflowWithOptions(_ any, o workflow.RegisterOptions) { r[o.Name] = true }

// Every type that users may start is registered under its name.
func TestRegistration(t *testing.T) {
	r := registered{}
	RegisterWorkflows(r)
	for _, name := range append([]string{workflows.PhaseType}, workflows.Types...) {
		if !r[name] {
			t.Errorf("%s is not registered", name)
		}
	}
	if len(r) != len(workflows.Types)+1 {
		t.Errorf("registered %v", r)
	}
}
