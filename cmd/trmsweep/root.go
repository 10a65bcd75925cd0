package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"trmsweep/configs"
	"trmsweep/internal/ask"
	"trmsweep/internal/endpoint"
	"trmsweep/internal/hint"
	"trmsweep/internal/version"
)

// app is what all subcommands share: where to write and the flags of the root.
type app struct {
	stdout, stderr io.Writer
	out            *output // what stdout is
	stateDir       string  // --state
	stateFlag      bool    // --state was given
	configDir      string  // --configs, empty = the ones built in
	configFlag     bool    // --configs was given
	embedded       bool    // only the stack on the state folder will do: run, up and their worker
	ownState       bool    // the state folder is this host's, wherever the server is: worker, preflight
}

// server is what was said about the Temporal server.
func (a *app) server() endpoint.Choice {
	return endpoint.Choice{
		State:     a.stateDir,
		StateFlag: a.stateFlag,
		StateEnv:  os.Getenv("TRMSWEEP_STATE") != "",
		Embedded:  a.embedded,
		OwnState:  a.ownState,
	}
}

// given are the settings that commands in hints need too.
func (a *app) given() hint.Settings {
	var s hint.Settings
	if a.stateFlag {
		s.State = a.stateDir
	}
	if a.configFlag {
		s.Configs = a.configDir
	}
	return s
}

// completeLines completes the commands in lines of output.
func (a *app) completeLines(lines []string) []string {
	given := a.given()
	for i, line := range lines {
		lines[i] = given.Complete(line)
	}
	return lines
}

// completed is an error whose text names commands that act on the same state folder.
func (a *app) completed(err error) error {
	if err == nil {
		return nil
	}
	return completedError{error: err, text: a.given().Complete(err.Error())}
}

// completedError is an error with another text.
type completedError struct {
	error
	text string
}

func (e completedError) Error() string { return e.text }
func (e completedError) Unwrap() error { return e.error }

// unanswered adds what to do to the error that no worker answers.
func unanswered(err error) error {
	if !errors.Is(err, ask.ErrNobody) {
		return err
	}
	return fmt.Errorf("%w; `trmsweep worker` starts one", err)
}

// configs are the configuration files: the built-in ones or those of --configs.
func (a *app) configs() (fs.FS, error) {
	if a.configDir == "" {
		return configs.FS, nil
	}
	if _, err := os.Stat(filepath.Join(a.configDir, "base.yaml")); err != nil {
		return nil, usagef("--configs %s: %w (the folder must hold base.yaml, experiments/, sweeps/ and profiles/)", a.configDir, err)
	}
	return os.DirFS(a.configDir), nil
}

// path is a file in the state folder.
func (a *app) path(elem ...string) string {
	return filepath.Join(append([]string{a.stateDir}, elem...)...)
}

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "trmsweep",
		Short:         "Replicate and ablate the Tiny Recursive Model on Sudoku-Extreme",
		Version:       version.Code(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s: %w; `%s --help` lists the flags", cmd.CommandPath(), err, cmd.CommandPath())
	})
	root.PersistentFlags().StringVar(&a.stateDir, "state", envOr("TRMSWEEP_STATE", ".trmsweep"), "folder of all local state (environment "+
		"TRMSWEEP_STATE)")
	root.PersistentFlags().StringVar(&a.configDir, "configs", os.Getenv("TRMSWEEP_CONFIGS"), "folder of configuration files instead of "+
		"the built-in ones (environment TRMSWEEP_CONFIGS)")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		a.stateFlag = cmd.Flags().Changed("state")
		a.configFlag = cmd.Flags().Changed("configs")
	}
	addCommands(root, a)
	addCompletion(root, a)
	return root
}

// knownCommand refuses arguments of a command that only has subcommands.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); args[0] != "" && len(near) > 0 {
		hint = " (did you mean " + strings.Join(near, " or ") + "?)"
	}
	return usagef("unknown command %q%s; `%s --help` lists them", args[0], hint, cmd.CommandPath())
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &output{w: stdout}
	a := &app{stdout: out, stderr: stderr, out: out}
	root := newRootCmd(a)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	wrapArgErrors(root)
	err := interrupted(ctx, root.ExecuteContext(ctx), "")
	if err == nil {
		err = out.failed()
	}
	return exitCode(a.completed(err), stderr)
}

// output is standard output. A command whose output was lost has failed, however it
// was written; one that goes on unheard has not.
type output struct {
	w       io.Writer
	mu      sync.Mutex
	err     error
	unheard bool
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.err = cmp.Or(o.err, err)
	}
	return n, err
}

// Unwrap returns the writer behind it, which may be a terminal.
func (o *output) Unwrap() io.Writer { return o.w }

// failed is the first error of a write, nil if nobody needs to read.
func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil || o.unheard {
		return nil
	}
	return fmt.Errorf("write output: %w", o.err)
}

// wrapArgErrors makes wrong arguments usage errors everywhere.
func wrapArgErrors(cmd *cobra.Command) {
	if !cmd.Runnable() {
		cmd.Args, cmd.RunE = knownCommand, func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if u := (usageError{}); err != nil && !errors.As(err, &u) {
				return usageError{fmt.Errorf("%s: %w; `%s --help` says how to call it", c.CommandPath(), err, c.CommandPath())}
			}
			return err
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgErrors(sub)
	}
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
