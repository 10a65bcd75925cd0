package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/backend"
)

// newProbeCmd opens a backend and says what it is. Preflight runs it as a process
// of its own: a plugin may crash, hang, or keep its device until the process ends.
func newProbeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "probe-backend NAME", Short: "Open a backend and print what it is, as JSON", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, info, err := backend.Open(cmd.Context(), args[0], backend.Options{Patience: probeTimeout * 3 / 4})
			if err != nil {
				return usageError{err}
			}
			defer b.Finalize()
			return json.NewEncoder(a.stdout).Encode(info)
		},
	}
}

// probeTimeout is how long one backend may take to open. The process gives up before it, and says why.
const probeTimeout = time.Minute

// probe asks a process of this program, with env added to its environment, what a backend is.
func probe(ctx context.Context, name string, env []string) (info backend.Info, err error) {
	exe, err := os.Executable()
	if err != nil {
		return info, fmt.Errorf("find this program: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "probe-backend", name)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return info, fmt.Errorf("%s: no answer within %s; another process may hold the device", name, probeTimeout)
	case err != nil:
		return info, fmt.Errorf("%s: %s (%w)", name, lastWord(errs.String()), err)
	}
	if err := json.Unmarshal(out.Bytes(), &info); err != nil {
		return info, fmt.Errorf("%s: read what it printed: %w", name, err)
	}
	if len(info.DeviceNames) == 0 {
		return info, fmt.Errorf("%s: %s has no device", name, info.Description)
	}
	return info, nil
}

// lastWord is what this program said at its end, if it did, else the first line: a plugin may say much before.
func lastWord(errs string) string {
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	for _, line := range slices.Backward(lines) {
		if word, ok := strings.CutPrefix(line, "trmsweep: "); ok {
			return word
		}
	}
	return lines[0]
}

// checkBackends lists what can train here, with plugins, versions and devices.
// wanted must open; for "auto" that is the first that does.
func checkBackends(ctx context.Context, wanted string, env []string) (string, error) {
	var lines []string
	ask := func(name string) bool {
		info, err := probe(ctx, name, env)
		if err != nil {
			lines = append(lines, err.Error())
			return false
		}
		line := name + ": " + info.Description
		if info.Devices > 1 || info.DeviceNames[0] != info.Description {
			line += ", devices " + strings.Join(info.DeviceNames, ", ")
		}
		lines = append(lines, line)
		return true
	}
	if wanted != "auto" {
		if !ask(wanted) {
			return "", fmt.Errorf("%s", lines[0])
		}
		return lines[0], nil
	}
	plugins, first := backend.Plugins(), ""
	for _, p := range plugins {
		if none := p.NoDevice(); none != nil {
			lines = append(lines, "xla:"+p.Name+": "+none.Error())
			continue
		}
		accelerator := p.Name == "tpu" || p.Name == "cuda"
		if ask("xla:"+p.Name) && first == "" && accelerator {
			first = "xla:" + p.Name
		}
	}
	if len(plugins) == 0 {
		lines = append(lines, "no XLA plugin on this machine")
	}
	if ask("cpu") && first == "" {
		first = "cpu"
	}
	if first == "" {
		return "", fmt.Errorf("nothing can train here: %s", strings.Join(lines, "; "))
	}
	return "auto is " + first + "; " + strings.Join(lines, "; "), nil
}
