package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
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
				return named(cmd, "show", t.id, err)
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

func newQueryCmd(v *viper.Viper) *cobra.Command {
	var t target
	var in input
	var name string
	var args []any
	cmd := targeted(v, "query", "Query a workflow", &t, func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		val, err := c.QueryWorkflow(ctx, t.id, t.run, name, args...)
		if err != nil {
			return named(cmd, "query", t.id, err)
		}
		var result converter.RawValue
		if err := val.Get(&result); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return printAnswer(cmd, result)
	})
	cmd.Flags().StringVar(&name, "type", "", "name of the query")
	in.flags(cmd)
	needsName(cmd, "type", &in, &args)
	return cmd
}

func newSignalCmd(v *viper.Viper) *cobra.Command {
	var t target
	var in input
	var name string
	var args []any
	cmd := targeted(v, "signal", "Signal a workflow", &t, changing(func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		var arg any
		if len(args) > 0 {
			arg = args[0]
		}
		if err := c.SignalWorkflow(ctx, t.id, t.run, name, arg); err != nil {
			return named(cmd, "signal", t.id, err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Signalled %s\n", t.id)
		return nil
	}))
	cmd.Flags().StringVar(&name, "name", "", "name of the signal")
	in.flags(cmd)
	needsName(cmd, "name", &in, &args)
	return cmd
}

func newUpdateCmd(v *viper.Viper) *cobra.Command {
	var t target
	var in input
	var name string
	var args []any
	update := func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		h, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: t.id, RunID: t.run, UpdateName: name, Args: args,
			WaitForStage: client.WorkflowUpdateStageCompleted})
		if err != nil {
			return named(cmd, "update", t.id, err)
		}
		var result converter.RawValue
		if err := h.Get(ctx, &result); err != nil {
			return named(cmd, "update", t.id, err)
		}
		return printAnswer(cmd, result)
	}
	cmd := targeted(v, "update", "Update a workflow and print the answer", &t, changing(update))
	cmd.Flags().StringVar(&name, "name", "", "name of the update")
	in.flags(cmd)
	needsName(cmd, "name", &in, &args)
	return cmd
}

// needsName makes a command check that a name is given and that its input is JSON before it connects to a server.
func needsName(cmd *cobra.Command, flag string, in *input, args *[]any) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if cmd.Flags().Lookup(flag).Value.String() == "" {
			return usagef("%s needs --%s", cmd.CommandPath(), flag)
		}
		*args, err = in.args()
		return err
	}
}

func newCancelCmd(v *viper.Viper) *cobra.Command {
	var t target
	cancel := func(ctx context.Context, cmd *cobra.Command, c *connection) error {
		if err := c.CancelWorkflow(ctx, t.id, t.run); err != nil {
			return named(cmd, "cancel", t.id, err)
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
			return named(cmd, "terminate", t.id, err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Terminated %s\n", t.id)
		return nil
	}
	cmd := targeted(v, "terminate", "End a workflow at once, without letting it save", &t, changing(terminate))
	cmd.Flags().StringVar(&reason, "reason", "terminated by tctl", "reason, kept in the history")
	return cmd
}
