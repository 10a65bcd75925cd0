package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"

	"trmsweep/internal/ask"
	"trmsweep/internal/experiment"
	"trmsweep/internal/queues"
	"trmsweep/internal/study"
)

func newShowCmd(v *viper.Viper) *cobra.Command {
	var t target
	var asJSON bool
	cmd := targeted(v, "show", "Show a workflow's history", &t, func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		h := &historypb.History{}
		it := c.GetWorkflowHistory(ctx, t.id, t.run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for it.HasNext() {
			e, err := it.Next()
			if err != nil {
				return err
			}
			h.Events = append(h.Events, e)
		}
		if asJSON {
			data, err := protojson.MarshalOptions{Multiline: true, Indent: " "}.Marshal(h)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n", data)
			return nil
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tTIME\tEVENT")
		for _, e := range h.Events {
			fmt.Fprintf(w, "%d\t%s\t%s\n", e.GetEventId(), e.GetEventTime().AsTime().Format(time.RFC3339), e.GetEventType())
		}
		return w.Flush()
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as replayers read it")
	return cmd
}

// message holds the flags of query, signal and update: the workflow, the name of the message and at most one argument.
type message struct {
	target
	name string
	args []any
}

// newMessageCmd makes a subcommand that sends a message to a workflow. It checks the flags before it connects to a server.
func newMessageCmd(v *viper.Viper, use, short, nameFlag string, m *message, f action) *cobra.Command {
	var in input
	cmd := targeted(v, use, short, &m.target, f)
	cmd.Flags().StringVar(&m.name, nameFlag, "", "name of the "+use)
	in.flags(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if m.name == "" {
			return usagef("%s needs --%s", cmd.CommandPath(), nameFlag)
		}
		if m.args, err = in.args(); err != nil || m.name != queues.Control || use == "query" {
			return err
		}
		var raw json.RawMessage
		if len(m.args) > 0 {
			raw, _ = m.args[0].(json.RawMessage)
		}
		if _, err := study.DecodeCommand(raw); err != nil { // of a signal nobody would say so
			return usagef("%s --%s %s: %w", cmd.CommandPath(), nameFlag, m.name, err)
		}
		return nil
	}
	return cmd
}

func newQueryCmd(v *viper.Viper) *cobra.Command {
	var m message
	return newMessageCmd(v, "query", "Query a workflow", "type", &m, func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		val, err := ask.Query(ctx, c, m.workflow(), ask.Patience{}, m.name, m.args...)
		if err != nil {
			return err
		}
		var result converter.RawValue
		if err := val.Get(&result); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if d, err := c.DescribeWorkflowExecution(ctx, m.id, m.run); err == nil {
			warnOutdated(cmd, m.id, d.GetWorkflowExecutionInfo().GetStatus())
		}
		return printAnswer(cmd, result)
	})
}

// warnOutdated warns if what a workflow answers is what it was before somebody else ended it.
func warnOutdated(cmd *cobra.Command, id string, s enumspb.WorkflowExecutionStatus) {
	switch s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		fmt.Fprintf(cmd.ErrOrStderr(), "tctl: %s has ended (%s) and could not say so: this is how it stood before\n", id, s)
	}
}

func newSignalCmd(v *viper.Viper) *cobra.Command {
	var m message
	signal := func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		var arg any
		if len(m.args) > 0 {
			arg = m.args[0]
		}
		d, err := c.DescribeWorkflowExecution(ctx, m.id, m.run)
		if err != nil {
			return err
		}
		if err := checkSignal(d.GetExecutionConfig().GetTaskQueue().GetName(), m.name); err != nil {
			return err
		}
		if err := c.SignalWorkflow(ctx, m.id, m.run, m.name, arg); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Signalled %s\n", m.id)
		return nil
	}
	return newMessageCmd(v, "signal", "Signal a workflow", "name", &m, changing(signal))
}

// checkSignal finds fault with a signal that no workflow of the project reads from users: it would be kept and ignored. On another
// task queue a worker of somebody else may know it.
func checkSignal(queue, name string) error {
	if queue != queues.Workflows || name == queues.Control {
		return nil
	}
	known := []string{queues.Control}
	return usagef("unknown signal %q%s (known: %s)", name, experiment.Suggest("; the nearest known one is %s", name, known), queues.Control)
}

func newUpdateCmd(v *viper.Viper) *cobra.Command {
	var m message
	update := func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		h, err := ask.Update(ctx, c, m.workflow(), ask.Patience{}, m.name, m.args...)
		if err != nil {
			return err
		}
		var result converter.RawValue
		err = h.Get(ctx, &result)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("a worker has accepted it, but it is not finished; --timeout waits longer: %w", err)
		case err != nil:
			return err
		}
		return printAnswer(cmd, result)
	}
	return newMessageCmd(v, "update", "Update a workflow and print the answer", "name", &m, changing(update))
}

func newCancelCmd(v *viper.Viper) *cobra.Command {
	var t target
	cancel := func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		if err := c.CancelWorkflow(ctx, t.id, t.run); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Asked %s to stop\n", t.id)
		return nil
	}
	return targeted(v, "cancel", "Ask a workflow to stop cleanly", &t, changing(cancel))
}

func newTerminateCmd(v *viper.Viper) *cobra.Command {
	var t target
	var reason string
	terminate := func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		if err := c.TerminateWorkflow(ctx, t.id, t.run, reason); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Terminated %s\n", t.id)
		return nil
	}
	cmd := targeted(v, "terminate", "End a workflow at once, without letting it save", &t, changing(terminate))
	cmd.Flags().StringVar(&reason, "reason", "terminated by tctl", "reason, kept in the history")
	return cmd
}
