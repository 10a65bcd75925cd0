package main

import (
	"bytes"
	"strings"
	"testing"

	"trmsweep/internal/queues"
)

// A workflow of a type that no worker of the project knows would wait for ever.
// On another task queue a worker of somebody else may know the type.
func TestStartRefusesUnknownTypes(t *testing.T) {
	const nowhere, refused = "no Temporal server at 127.0.0.1:1", "unknown workflow type"
	cases := map[string]struct {
		code int
		want string
	}{
		"--type Nope":                       {2, refused + ` "Nope" (known: ` + strings.Join(queues.WorkflowTypes, ", ") + ")"},
		"--type allablations":               {2, refused},
		"--type Phase":                      {2, refused},
		"--type Nope --task-queue mine":     {1, nowhere},
		"--type Nope --task-queue trmsweep": {1, nowhere},
		"--workflow_type Nope --tq mine":    {1, nowhere},
	}
	for _, typ := range queues.WorkflowTypes {
		cases["--type "+typ] = struct {
			code int
			want string
		}{1, nowhere}
	}
	for args, c := range cases {
		var out bytes.Buffer
		start := []string{"workflow", "start", "--address", "127.0.0.1:1", "--timeout", "5s"}
		code := execute(t.Context(), append(start, strings.Fields(args)...), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit code %d, want %d; want %q in %s", args, code, c.code, c.want, out.String())
		}
	}
}

// Wrong flags and arguments are reported before tctl connects to a server.
func TestMistypedIsToldFirst(t *testing.T) {
	for args, want := range map[string]string{
		"workflow query x":                                       "tctl workflow query needs --type",
		"workflow signal x":                                      "tctl workflow signal needs --name",
		"workflow update x":                                      "tctl workflow update needs --name",
		"workflow update x --name n -i {":                        "the input is not JSON",
		"workflow signal x --name control":                       `unknown action ""`,
		`workflow signal x --name control -i {"action":"pauze"}`: `unknown action "pauze"`,
		`workflow update x --name control -i {"action":"skip","experiment":["x"]}`: `the nearest known one is "experiments"`,
		"workflow list --limit 0":             "--limit 0: want 1 to 1000",
		"workflow list --limit 5000000000":    "--limit 5000000000: want 1 to 1000",
		"workflow list --timeout -1s":         "--timeout -1s: want more than 0",
		"workflow describe x --timeout 0s":    "--timeout 0s: want more than 0",
		"workflow start --type A --timeout x": "invalid argument",
	} {
		var out bytes.Buffer
		code := execute(t.Context(), append(strings.Fields(args), "--address", "127.0.0.1:1"), &out, &out)
		if code != 2 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d: %s", args, code, out.String())
		}
	}
}
