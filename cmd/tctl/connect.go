package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"trmsweep/internal/endpoint"
	"trmsweep/internal/hint"
)

const defaultTimeout = 15 * time.Second

// connection is a client with the words that name its server in messages.
type connection struct {
	client.Client
	options client.Options
	ui      string // base URL of the Web UI, empty when unknown
	where   string // server and namespace, for people
}

// choice holds what flags and environment say about the server.
func choice(cmd *cobra.Command, v *viper.Viper) endpoint.Choice {
	return endpoint.Choice{
		Address:   v.GetString("address"),
		Profile:   v.GetString("profile"),
		Namespace: v.GetString("namespace"),
		State:     v.GetString("state"),
		StateFlag: cmd.Flags().Changed("state"),
		StateEnv:  os.Getenv("TRMSWEEP_STATE") != "",
	}
}

// connect finds the server and connects to it.
func connect(ctx context.Context, cmd *cobra.Command, v *viper.Viper) (*connection, error) {
	e, err := choice(cmd, v).Resolve()
	if errors.Is(err, endpoint.ErrSettings) {
		return nil, usageError{err}
	}
	if err != nil {
		return nil, err
	}
	opts := e.Options
	opts.Logger = log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.DialContext(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("no Temporal server at %s (%s): %w; "+
			"start one with `make up`, or say where it is with --address or TEMPORAL_ADDRESS", e.HostPort, e.From, err)
	}
	conn := &connection{Client: c, options: opts, where: e.String()}
	if s, err := endpoint.ReadStack(v.GetString("state")); err == nil && s.Temporal == e.HostPort {
		conn.ui = s.UI
	}
	return conn, nil
}

// given returns the settings that commands in hints need too, to reach the same server as this one.
func given(cmd *cobra.Command) hint.Settings {
	value := func(name string) string {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return f.Value.String()
		}
		return ""
	}
	return hint.Settings{Address: value("address"), Namespace: value("namespace"), Profile: value("profile"), State: value("state")}
}

// link returns the address of the workflow's page in the Web UI. It is empty if no UI is known.
func (c *connection) link(id, run string) string {
	if c.ui == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s", c.ui, c.options.Namespace, escape(id), run)
}
