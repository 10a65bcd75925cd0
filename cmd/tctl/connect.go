package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/viper"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
)

const defaultTimeout = 15 * time.Second

// localStack is what STATE/devstack.json says of a running local stack.
type localStack struct {
	Temporal string `json:"temporal"`
	UI       string `json:"ui"`
}

// stackOf reads the state folder; the zero value means that no stack runs there.
func stackOf(state string) (localStack, error) {
	path := filepath.Join(state, "devstack.json")
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return localStack{}, nil
	}
	var s localStack
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// connection is a client and how to name it in messages.
type connection struct {
	client.Client
	options client.Options
	ui      string // base URL of the Web UI, empty when unknown
}

// connect resolves flags, environment, configuration file and local stack, in
// this order, and dials.
func connect(ctx context.Context, v *viper.Viper) (*connection, error) {
	opts, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{ConfigFileProfile: v.GetString("profile")})
	if err != nil {
		return nil, usagef("client configuration: %w", err)
	}
	stack, err := stackOf(v.GetString("state"))
	if err != nil {
		return nil, err
	}
	address := v.GetString("address")
	if address == "" {
		address = opts.HostPort
	}
	if address == "" {
		address = stack.Temporal
	}
	if address == "" {
		address = "127.0.0.1:7233"
	}
	opts.HostPort = address
	if ns := v.GetString("namespace"); ns != "" {
		opts.Namespace = ns
	}
	if opts.Namespace == "" {
		opts.Namespace = client.DefaultNamespace
	}
	opts.Logger = log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.DialContext(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("no Temporal server at %s: %w; start one with `make up`, or say where it is with --address or TEMPORAL_ADDRESS", address, err)
	}
	conn := &connection{Client: c, options: opts}
	if address == stack.Temporal {
		conn.ui = stack.UI
	}
	return conn, nil
}

// link is the workflow's page in the Web UI, empty when no UI is known.
func (c *connection) link(id, run string) string {
	if c.ui == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s", c.ui, c.options.Namespace, escape(id), run)
}
