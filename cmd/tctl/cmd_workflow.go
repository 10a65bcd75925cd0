package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"trmsweep/configs"
	"trmsweep/internal/ask"
	"trmsweep/internal/experiment"
	"trmsweep/internal/queues"
	"trmsweep/internal/request"
	"trmsweep/internal/terminal"
)

func escape(s string) string { return url.PathEscape(s) }

// writeJSON prints a message as indented JSON. It indents anew because protojson varies its white space from build to build on purpose.
func writeJSON(w io.Writer, m proto.Message) error {
	data, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", out.Bytes())
	return err
}

// action is the body of one subcommand, called with an open connection.
type action func(ctx context.Context, cmd *cobra.Command, c *connection) error

// target holds the flags that name a workflow.
type target struct{ id, run string }

func (t target) workflow() ask.Workflow { return ask.Workflow{ID: t.id, Run: t.run} }

func newWorkflowCmd(v *viper.Viper) *cobra.Command {
	cmd := &cobra.Command{Use: "workflow", Aliases: []string{"wf"}, Short: "Work with workflows", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newStartCmd(v), newListCmd(v), newDescribeCmd(v), newShowCmd(v), newQueryCmd(v), newSignalCmd(v),
		newUpdateCmd(v), newCancelCmd(v), newTerminateCmd(v))
	return cmd
}

// connected wraps an action: it connects, runs the action under the timeout and closes the connection.
func connected(v *viper.Viper, f action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if d := v.GetDuration("timeout"); d <= 0 {
			return usagef("--timeout %v: want more than 0", d)
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), v.GetDuration("timeout"))
		defer cancel()
		c, err := connect(ctx, cmd, v)
		if err != nil {
			return err
		}
		defer c.Close()
		return f(ctx, cmd, c)
	}
}

// changing wraps an action that changes a workflow: it first prints which server the action changes.
func changing(f action) action {
	return func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		fmt.Fprintf(cmd.ErrOrStderr(), "tctl: on %s\n", c.where)
		return f(ctx, cmd, c)
	}
}

// targeted makes a subcommand that acts on one workflow. Its errors name the command and the workflow.
func targeted(v *viper.Viper, use, short string, t *target, f action) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: func(cmd *cobra.Command, args []string) error {
		if t.id == "" && len(args) == 1 {
			t.id = args[0]
			return nil
		}
		if t.id == "" && len(args) == 0 {
			return usagef("%s needs --workflow-id; `tctl workflow list` shows the ids", cmd.CommandPath())
		}
		return noArgs(cmd, args)
	}, RunE: connected(v, func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		return named(cmd, t.id, f(ctx, cmd, c))
	})}
	cmd.Flags().StringVarP(&t.id, "workflow-id", "w", "", "workflow id")
	cmd.Flags().StringVarP(&t.run, "run-id", "r", "", "run id (default: the latest run)")
	return cmd
}

// input holds the flags of a JSON argument.
type input struct{ text, file string }

func (in *input) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&in.text, "input", "i", "", "input as JSON")
	cmd.Flags().StringVar(&in.file, "input-file", "", "file with the input as JSON")
}

// args returns no argument or one. It checks that the argument is JSON before anything is sent.
func (in *input) args() ([]any, error) {
	text := []byte(in.text)
	switch {
	case in.text != "" && in.file != "":
		return nil, usagef("--input and --input-file: give one of them")
	case in.file != "":
		data, err := os.ReadFile(in.file)
		if err != nil {
			return nil, usagef("--input-file: %w", err)
		}
		text = data
	case in.text == "":
		return nil, nil
	}
	if !json.Valid(text) {
		return nil, usagef("the input is not JSON: %.80q", text)
	}
	return []any{json.RawMessage(text)}, nil
}

func newStartCmd(v *viper.Viper) *cobra.Command {
	var in input
	var typ, queue, id string
	var wait bool
	cmd := &cobra.Command{Use: "start", Short: "Start a workflow", Args: noArgs,
		Example: "  tctl workflow start --type AllAblations\n  tctl workflow start --type AllAblations --input '{\"profile\":\"smoke\"}'"}
	fl := cmd.Flags()
	fl.StringVar(&typ, "type", "", "workflow type: "+strings.Join(queues.WorkflowTypes, ", "))
	fl.StringVarP(&queue, "task-queue", "t", queues.Workflows, "task queue; another one may know other types")
	fl.StringVarP(&id, "workflow-id", "w", "", "workflow id (default: the type and a random part); an id that runs already is not "+
		"started again")
	fl.BoolVar(&wait, "wait", false, "wait for the result and print it")
	in.flags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(queues.WorkflowTypes, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, rest []string) error {
		if typ == "" {
			return usagef("%s needs --type, for example --type AllAblations", cmd.CommandPath())
		}
		args, err := in.args()
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("task-queue") && !slices.Contains(queues.WorkflowTypes, typ) {
			return usagef("unknown workflow type %q%s (known: %s); for a worker of your own name its queue with --task-queue", typ,
				experiment.Suggest("; the nearest known one is %s", typ, queues.WorkflowTypes), strings.Join(queues.WorkflowTypes, ", "))
		}
		if !cmd.Flags().Changed("task-queue") {
			if err := checkInput(typ, args); err != nil {
				return usagef("start %s: %w; for a worker with another configuration name its queue with --task-queue", typ, err)
			}
		}
		if id == "" {
			var b [4]byte
			_, _ = rand.Read(b[:])
			id = typ + "-" + time.Now().UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:])
		}
		return connected(v, changing(func(ctx context.Context, cmd *cobra.Command, c *connection) error {
			options := client.StartWorkflowOptions{ID: id, TaskQueue: queue, StaticSummary: summaryOf(typ, args)}
			run, err := c.ExecuteWorkflow(ctx, options, typ, args...)
			if err != nil {
				return fmt.Errorf("start %s: %w", typ, err)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "Started %s\n  WorkflowId %s\n  RunId      %s\n  TaskQueue  %s\n", typ, run.GetID(), run.GetRunID(), queue)
			if link := c.link(run.GetID(), run.GetRunID()); link != "" {
				fmt.Fprintf(w, "  Web UI     %s\n", link)
			}
			warnNoPollers(ctx, cmd, c, queue)
			if !wait {
				return nil
			}
			var result converter.RawValue
			if err := run.Get(cmd.Context(), &result); err != nil {
				return err
			}
			return printAnswer(cmd, result)
		}))(cmd, rest)
	}
	return cmd
}

// checkInput finds what is wrong with the input of a workflow of the project, by the built-in configuration or that of the
// environment.
func checkInput(typ string, args []any) error {
	var files fs.FS = configs.FS
	if dir := os.Getenv("TRMSWEEP_CONFIGS"); dir != "" {
		files = os.DirFS(dir)
	}
	var raw json.RawMessage
	if len(args) > 0 {
		raw, _ = args[0].(json.RawMessage)
	}
	return request.Input(files, typ, raw)
}

// summaryOf is what the Web UI shows of a workflow beside its id, as `trmsweep start` says it: the name of the experiment,
// or of the sweep.
func summaryOf(typ string, args []any) string {
	var in struct {
		Experiment string `json:"experiment"`
	}
	if len(args) > 0 {
		if text, ok := args[0].(json.RawMessage); ok {
			_ = json.Unmarshal(text, &in) // an input of another shape has no such name
		}
	}
	return cmp.Or(in.Experiment, typ)
}

// warnNoPollers warns if no worker polls the task queue of a workflow that was just started.
func warnNoPollers(ctx context.Context, cmd *cobra.Command, c *connection, queue string) {
	l, err := ask.Listening(ctx, c, queue, ask.Starting)
	if err != nil || l.Count > 0 {
		return
	}
	text := fmt.Sprintf("no worker listens on task queue %q: the workflow waits until one starts", queue)
	if queue == queues.Workflows {
		text += " (`make up`, or `trmsweep worker`)"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "tctl: %s\n", given(cmd).Complete(text))
}

// mostListed is the largest number of workflows that a server returns in one answer.
const mostListed = 1000

func newListCmd(v *viper.Viper) *cobra.Command {
	var query string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List workflows, newest first", Args: noArgs}
	cmd.Flags().StringVarP(&query, "query", "q", "", "filter, for example 'TrmPhase=\"baseline\" AND ExecutionStatus=\"Running\"'")
	cmd.Flags().IntVar(&limit, "limit", 50, "most workflows to show")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if limit < 1 || limit > mostListed {
			return usagef("--limit %d: want 1 to %d", limit, mostListed)
		}
		return nil
	}
	cmd.RunE = connected(v, func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		resp, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: int32(limit)})
		if err != nil {
			return fmt.Errorf("list workflows: %w", err)
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), resp)
		}
		t := terminal.Table{Columns: []terminal.Column{
			{Name: "STATUS"}, {Name: "WORKFLOW ID"}, {Name: "STANDS"},
			{Name: "TYPE", Drop: 3}, {Name: "STARTED", Drop: 2}, {Name: "RUN ID", Drop: 1},
		}}
		for _, e := range resp.GetExecutions() {
			t.Rows = append(t.Rows, []string{
				e.GetStatus().String(),
				e.GetExecution().GetWorkflowId(),
				stands(e),
				e.GetType().GetName(),
				e.GetStartTime().AsTime().Format(time.RFC3339),
				e.GetExecution().GetRunId(),
			})
		}
		w := cmd.OutOrStdout()
		_, err = fmt.Fprintln(w, strings.Join(t.Lines(terminal.Of(w).Size().Width), "\n"))
		return err
	})
	return cmd
}

// stands is how a sweep or an experiment says that it stands. The search attributes of a workflow that was terminated, for
// example, say for ever what they said before: then the server's status is all there is.
func stands(e *workflowpb.WorkflowExecutionInfo) string {
	attribute := func(name string) string {
		var text string
		if p := e.GetSearchAttributes().GetIndexedFields()[name]; p != nil {
			_ = converter.GetDefaultDataConverter().FromPayload(p, &text) // one that cannot be read stays unknown
		}
		return text
	}
	status := attribute(queues.AttrStatus)
	switch e.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		holdup := attribute(queues.AttrHoldup)
		said := holdup == "" || holdup == status
		if said {
			return status
		}
		return status + " (" + holdup + ")"
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return status
	}
	return ""
}

func newDescribeCmd(v *viper.Viper) *cobra.Command {
	var t target
	return targeted(v, "describe", "Describe a workflow as JSON", &t, func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		resp, err := c.DescribeWorkflowExecution(ctx, t.id, t.run)
		if err != nil {
			return err
		}
		return writeJSON(cmd.OutOrStdout(), resp)
	})
}

// named adds the command and the workflow to an error.
func named(cmd *cobra.Command, id string, err error) error {
	if err == nil {
		return nil
	}
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return fmt.Errorf("%s: no workflow %q here: %w; `tctl workflow list` shows the ids", cmd.Name(), id, err)
	}
	if errors.Is(err, ask.ErrNobody) {
		err = fmt.Errorf("%w; `trmsweep worker` starts one", err)
	}
	return fmt.Errorf("%s %s: %w", cmd.Name(), id, err)
}

// printAnswer prints what a workflow returned. It prints Go values and protocol buffers as JSON.
func printAnswer(cmd *cobra.Command, answer converter.RawValue) error {
	data := answer.Payload().GetData()
	if len(data) == 0 {
		data = []byte("null")
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return fmt.Errorf("the answer is not JSON: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out.Bytes())
	return nil
}
