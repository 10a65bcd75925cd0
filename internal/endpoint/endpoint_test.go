package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
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

// clean removes what the environment of whoever runs the tests says of Temporal.
func clean(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "TEMPORAL_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
}

// dead is the number of a process that has ended.
func dead(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

const profiles = `
[profile.default]
address = "file:7233"
[profile.prod]
address = "prod:7233"
namespace = "study"
[profile.bare]
namespace = "bare"
`

// The list of the package comment, rule by rule.
func TestPrecedence(t *testing.T) {
	alive := fmt.Sprintf(`{"temporal":"127.0.0.1:4711","ui":"http://127.0.0.1:1","gcs":"http://127.0.0.1:2","pid":%d}`, os.Getpid())
	killed := fmt.Sprintf(`{"temporal":"127.0.0.1:4711","pid":%d}`, dead(t))
	const stack, env = "127.0.0.1:4711", "TEMPORAL_ADDRESS=env:7233"
	for _, c := range []struct {
		name   string
		choice Choice
		stack  string // devstack.json
		env    string
		want   string // host:port
		err    error
	}{
		{"nothing said", Choice{}, "", "", "127.0.0.1:7233", nil},
		{"default folder with a stack", Choice{}, alive, "", stack, nil},
		{"default folder with a stack that was killed", Choice{}, killed, "", "", ErrNoStack},
		{"environment before the default folder", Choice{}, alive, env, "env:7233", nil},
		{"environment alone", Choice{}, "", env, "env:7233", nil},
		{"TRMSWEEP_STATE with a stack", Choice{StateEnv: true}, alive, "", stack, nil},
		{"TRMSWEEP_STATE without a stack", Choice{StateEnv: true}, "", "", "", ErrNoStack},
		{"TEMPORAL_ADDRESS before TRMSWEEP_STATE", Choice{StateEnv: true}, alive, env, "env:7233", nil},
		{"--state with a stack", Choice{StateFlag: true}, alive, "", stack, nil},
		{"--state before the environment", Choice{StateFlag: true}, alive, env, stack, nil},
		{"--state without a stack", Choice{StateFlag: true}, "", "", "", ErrNoStack},
		{"--state without a stack, environment", Choice{StateFlag: true}, "", env, "", ErrNoStack},
		{"--state with a stack that was killed", Choice{StateFlag: true}, killed, env, "", ErrNoStack},
		{"--state before an API key", Choice{StateFlag: true}, alive, "TEMPORAL_API_KEY=k", stack, nil},
		{"--state before broken settings", Choice{StateFlag: true}, alive, "TEMPORAL_PROFILE=none", stack, nil},
		{"--address before --state", Choice{Address: "flag:1", StateFlag: true}, alive, env, "flag:1", nil},
		{"--address before the environment", Choice{Address: "flag:1"}, "", env, "flag:1", nil},
		{"--profile before --state", Choice{Profile: "prod", StateFlag: true}, alive, "", "prod:7233", nil},
		{"--profile without an address", Choice{Profile: "bare"}, alive, "", "", ErrSettings},
		{"--profile that is not there", Choice{Profile: "none"}, alive, "", "", ErrSettings},
		{"profile of the environment", Choice{}, alive, "TEMPORAL_PROFILE=prod", "prod:7233", nil},
		{"an API key alone", Choice{}, "", "TEMPORAL_API_KEY=k", "", ErrSettings},
		{"an API key alone, default folder with a stack", Choice{}, alive, "TEMPORAL_API_KEY=k", "", ErrSettings},
		{"TLS alone", Choice{}, "", "TEMPORAL_TLS=true", "", ErrSettings},
		{"broken settings", Choice{}, "", "TEMPORAL_PROFILE=none", "", ErrSettings},
		{"worker with files of its own, environment", Choice{StateFlag: true, OwnState: true}, "", env, "env:7233", nil},
		{"worker with files of its own, nothing else", Choice{StateFlag: true, OwnState: true}, "", "", "", ErrNoStack},
		{"worker on a stack, environment", Choice{StateFlag: true, OwnState: true}, alive, env, stack, nil},
		{"worker on a stack that was killed, environment", Choice{StateFlag: true, OwnState: true}, killed, env, "", ErrNoStack},
		{"embedded, environment", Choice{Embedded: true}, alive, env, stack, nil},
		{"embedded, API key", Choice{Embedded: true}, alive, "TEMPORAL_API_KEY=k", stack, nil},
		{"embedded, profile", Choice{Embedded: true}, alive, "TEMPORAL_PROFILE=prod", stack, nil},
		{"embedded, not there yet", Choice{Embedded: true}, "", env, "", ErrNoStack},
	} {
		t.Run(c.name, func(t *testing.T) {
			clean(t)
			if name, value, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(name, value)
			}
			if strings.Contains(c.name, "profile") {
				file := filepath.Join(t.TempDir(), "temporal.toml")
				if err := os.WriteFile(file, []byte(profiles), 0o644); err != nil {
					t.Fatal(err)
				}
				t.Setenv("TEMPORAL_CONFIG_FILE", file)
			}
			c.choice.State = state(t, c.stack)
			e, err := c.choice.Resolve()
			if !errors.Is(err, c.err) || e.HostPort != c.want {
				t.Fatalf("%q, %v; want %q, %v", e.HostPort, err, c.want, c.err)
			}
			if err != nil {
				return
			}
			foreign := e.ConnectionOptions.TLS != nil || e.Credentials != nil || e.Namespace != client.DefaultNamespace
			if e.HostPort == stack && foreign {
				t.Errorf("the environment's credentials or namespace reach the stack: %+v", e.Options)
			}
			if !strings.Contains(e.String(), e.HostPort+", namespace ") {
				t.Errorf("says %s", e)
			}
		})
	}
}

func TestNamespace(t *testing.T) {
	clean(t)
	t.Setenv("TEMPORAL_NAMESPACE", "env")
	stack := state(t, `{"temporal":"127.0.0.1:4711"}`)
	for _, c := range []struct {
		name   string
		choice Choice
		want   string
	}{
		{"environment", Choice{State: stack}, "env"},
		{"flag", Choice{State: stack, Namespace: "flag"}, "flag"},
		{"--state", Choice{State: stack, StateFlag: true}, "default"},
		{"--state and flag", Choice{State: stack, StateFlag: true, Namespace: "flag"}, "flag"},
		{"embedded", Choice{State: stack, Embedded: true}, "default"},
	} {
		if e, err := c.choice.Resolve(); err != nil || e.Namespace != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, e.Namespace, err, c.want)
		}
	}
}

func TestDescriptionsOfStacks(t *testing.T) {
	clean(t)
	for name, c := range map[string]struct{ content, want string }{
		"half": {`{"temp`, "devstack.json"}, "empty": {`{}`, "names no Temporal server"},
	} {
		dir := state(t, c.content)
		if _, err := (Choice{State: dir}).Resolve(); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadStack(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without a stack: %v", err)
	}
}

// A copy of a state folder does not lead to the stack of the original. A path that this machine does not have is a container's.
func TestCopiedFolder(t *testing.T) {
	clean(t)
	original := t.TempDir()
	stack := fmt.Sprintf(`{"temporal":"127.0.0.1:4711","state":%q}`, original)
	if err := os.WriteFile(filepath.Join(original, "devstack.json"), []byte(stack), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, folder, wantError string }{
		{"the original", original, ""},
		{"a copy", state(t, stack), "it is a copy of " + original},
		{"in a container", state(t, `{"temporal":"127.0.0.1:4711","state":"/no/such/folder"}`), ""},
	} {
		e, err := (Choice{State: c.folder, StateFlag: true}).Resolve()
		switch {
		case c.wantError == "":
			if err != nil || e.HostPort != "127.0.0.1:4711" {
				t.Errorf("%s: %q, %v", c.name, e.HostPort, err)
			}
		case !errors.Is(err, ErrNoStack) || !strings.Contains(err.Error(), c.wantError):
			t.Errorf("%s: %v; want %q", c.name, err, c.wantError)
		}
	}
}

// A command gives up at once where no stack was started, and waits for one that may come back.
func TestWaits(t *testing.T) {
	clean(t)
	killed := state(t, fmt.Sprintf(`{"temporal":"127.0.0.1:4711","pid":%d}`, dead(t)))
	for _, c := range []struct {
		name   string
		choice Choice
		want   bool
	}{
		{"command, no stack", Choice{State: t.TempDir(), StateFlag: true}, false},
		{"command, killed stack", Choice{State: killed, StateFlag: true}, true},
		{"worker, no stack", Choice{State: t.TempDir(), StateFlag: true, OwnState: true}, true},
		{"embedded, no stack", Choice{State: t.TempDir(), Embedded: true}, true},
		{"settings", Choice{Profile: "none"}, false},
	} {
		if _, err := c.choice.Resolve(); err == nil || c.choice.Waits(err) != c.want {
			t.Errorf("%s: %v; waits %v, want %v", c.name, err, c.choice.Waits(err), c.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	clean(t)
	if got := Environment(); got != "" {
		t.Errorf("nothing said: %q", got)
	}
	t.Setenv("TEMPORAL_NAMESPACE", "n")
	t.Setenv("TEMPORAL_API_KEY", "secret")
	if got := Environment(); got != "TEMPORAL_API_KEY, TEMPORAL_NAMESPACE" {
		t.Errorf("variables: %q", got)
	}
}
