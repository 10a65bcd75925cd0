package worker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"trmsweep/workflows"
)

// state is a folder in which a stack says where it listens.
func state(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	if content != "" {
		if err := os.WriteFile(filepath.Join(dir, "devstack.json"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAddresses(t *testing.T) {
	const stack = `{"temporal":"127.0.0.1:4711","ui":"http://127.0.0.1:1","gcs":"http://127.0.0.1:2"}`
	for name, c := range map[string]struct {
		file, env, want string
	}{
		"nothing said":       {"", "", client.DefaultHostPort},
		"a stack":            {stack, "", "127.0.0.1:4711"},
		"the environment":    {"", "10.0.0.1:7233", "10.0.0.1:7233"},
		"it comes before":    {stack, "10.0.0.1:7233", "10.0.0.1:7233"},
		"half a description": {`{"temp`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEMPORAL_ADDRESS", c.env)
			if c.env == "" {
				os.Unsetenv("TEMPORAL_ADDRESS")
			}
			t.Setenv("TEMPORAL_CONFIG_FILE", filepath.Join(t.TempDir(), "none.toml"))
			dir := state(t, c.file)
			o, err := clientOptions(dir)
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "devstack.json")) {
					t.Errorf("error %v does not name the file", err)
				}
				return
			}
			if err != nil || o.HostPort != c.want {
				t.Errorf("%s, %v; want %s", o.HostPort, err, c.want)
			}
		})
	}
	if _, err := ReadStack(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without a stack: %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	_, err := Dial(t.Context(), t.TempDir(), "test", nil, time.Millisecond)
	if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "trmsweep up") {
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
