// Command tctl starts and watches the study's workflows with the words users
// know: `tctl workflow start --type AllAblations`. It talks to any Temporal
// server and knows the project's task queue and local stack. It never touches
// storage or models.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"trmsweep/internal/version"
)

// usageError marks an error in what the user typed; its exit code is 2. Each of the three programs has its own type
// because they share no package of commands and only trmsweep has further exit codes.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCmd()
	root.SetArgs(args)
	out := &output{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("write output: %w", out.err)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "tctl: %s\n", given(cmd).Complete(err.Error()))
	if u := (usageError{}); errors.As(err, &u) {
		return 2
	}
	return 1
}

// output is standard output. It keeps the first write error because a command whose output was lost has failed.
type output struct {
	w   io.Writer
	err error // the first
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// Unwrap returns the writer behind it, which may be a terminal.
func (o *output) Unwrap() io.Writer { return o.w }

func newRootCmd() *cobra.Command {
	v := viper.New()
	root := &cobra.Command{
		Use:     "tctl",
		Short:   "Start and watch the study's workflows",
		Version: version.Code(),
		Example: "  tctl workflow start --type AllAblations\n" +
			"  tctl workflow list --query 'TrmStatus=\"running\" AND ExecutionStatus=\"Running\"'",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	fl := root.PersistentFlags()
	fl.String("address", "", "host:port of Temporal (default: the local stack of --state if that is given, else TEMPORAL_ADDRESS, else "+
		"the stack of the default --state, else 127.0.0.1:7233)")
	fl.StringP("namespace", "n", "", "namespace (default: TEMPORAL_NAMESPACE, else default)")
	fl.String("profile", "", "profile of the client configuration file (environment TEMPORAL_PROFILE)")
	fl.String("state", ".trmsweep", "folder of the local stack to use (environment TRMSWEEP_STATE)")
	fl.Duration("timeout", defaultTimeout, "how long a call may take")
	v.SetEnvPrefix("TRMSWEEP")
	_ = v.BindPFlag("state", fl.Lookup("state"))
	_ = v.BindEnv("state")
	for _, name := range []string{"address", "namespace", "profile", "timeout"} {
		_ = v.BindPFlag(name, fl.Lookup(name))
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s: %w; `%s --help` lists the flags", cmd.CommandPath(), err, cmd.CommandPath())
	})
	root.SetGlobalNormalizationFunc(oldSpellings)
	root.AddCommand(newWorkflowCmd(v))
	return root
}

// oldSpellings accepts the flag names of Temporal's retired command line tool, which was also called tctl.
func oldSpellings(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	name = strings.ReplaceAll(name, "_", "-")
	switch name {
	case "workflow-type", "wt":
		name = "type"
	case "tq", "taskqueue", "task-list", "tasklist", "tl":
		name = "task-queue"
	case "wid", "w":
		name = "workflow-id"
	case "rid":
		name = "run-id"
	case "ns":
		name = "namespace"
	case "ad":
		name = "address"
	case "q":
		name = "query"
	}
	return pflag.NormalizedName(name)
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usagef("unknown command %q of %s; `%s --help` lists them", args[0], cmd.CommandPath(), cmd.CommandPath())
	}
	return usagef("%s: unexpected argument %q; `%s --help` says how to call it", cmd.CommandPath(), args[0], cmd.CommandPath())
}
