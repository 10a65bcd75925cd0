package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrNoPip says that no pip runs on this machine.
var ErrNoPip = errors.New("no pip on this machine")

// pips are the commands that may be pip, best first.
var pips = [][]string{{"python3", "-m", "pip"}, {"python", "-m", "pip"}, {"pip3"}, {"pip"}}

// findPip is the first command that is a pip.
func findPip(ctx context.Context) ([]string, error) {
	for _, c := range pips {
		if _, err := exec.LookPath(c[0]); err != nil {
			continue
		}
		args := append(c[1:len(c):len(c)], "--version")
		if exec.CommandContext(ctx, c[0], args...).Run() == nil {
			return c, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, ErrNoPip
}

// fetch has pip download the wheel into a folder, from whatever index the user's pip knows.
func (w Wheel) fetch(ctx context.Context, o Options, folder string) (string, error) {
	pip, err := findPip(ctx)
	if errors.Is(err, ErrNoPip) {
		return "", fmt.Errorf("%w (tried `python3 -m pip`, `python -m pip`, `pip3` and `pip`): "+
			"install one, or fetch %s from %s elsewhere and give it with --wheel",
			err, w.File, w.Source())
	}
	if err != nil {
		return "", err
	}
	tags, err := w.tags()
	if err != nil {
		return "", err
	}
	args := append(pip[1:len(pip):len(pip)], "download", "--no-deps", "--no-input", "--disable-pip-version-check", "--quiet",
		"--only-binary=:all:", "--dest", folder)
	args = append(append(args, tags...), w.Package+"=="+w.Version)
	cmd := exec.CommandContext(ctx, pip[0], args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+folder) // one disk, and swept with it
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if o.Stderr != nil {
		cmd.Stderr = io.MultiWriter(&said, o.Stderr)
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if strings.Contains(strings.ToLower(said.String()), syscall.ENOSPC.Error()) {
			return "", fmt.Errorf("fetch %s: %w", w.File, syscall.ENOSPC)
		}
		return "", fmt.Errorf("`%s`: %w: %s; without this index: fetch %s from %s elsewhere and give it with --wheel",
			strings.Join(cmd.Args, " "), err, lastLines(said.String(), 3), w.File, w.Source())
	}
	file := filepath.Join(folder, w.File)
	hash, err := hashFile(file)
	if errors.Is(err, os.ErrNotExist) {
		got, _ := filepath.Glob(filepath.Join(folder, "*.whl"))
		return "", fmt.Errorf("pip downloaded %q and not %s: its index has another file for %s %s", got, w.File, w.Package, w.Version)
	}
	if err != nil {
		return "", err
	}
	if hash != w.SHA256 {
		return "", w.mismatch("what pip downloaded", hash)
	}
	return file, nil
}

// tags make pip choose this wheel whatever Python runs it: they are read off the file's name,
// package-version-python-abi-platform.whl, where a dot separates alternatives.
func (w Wheel) tags() ([]string, error) {
	parts := strings.Split(strings.TrimSuffix(w.File, ".whl"), "-")
	if len(parts) != 5 {
		return nil, fmt.Errorf("%s is not the name of a wheel", w.File)
	}
	python, abi, platforms := parts[2], parts[3], parts[4]
	args := []string{"--implementation", python[:2], "--python-version", python[2:], "--abi", abi}
	for _, p := range strings.Split(platforms, ".") {
		args = append(args, "--platform", p)
	}
	return args, nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}
