package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/preflight"
)

func newPreflightCmd(a *app) *cobra.Command {
	var f workerFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Check configuration, store, disk, backends and server before hours of chips are spent",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.configs()
			if err != nil {
				return err
			}
			t := preflight.Run(cmd.Context(), []preflight.Check{
				preflight.Configs(cfg, f.profile, os.Environ()),
				preflight.Store(func(ctx context.Context) (preflight.Opened, error) { return openStore(ctx, f.store) }),
				preflight.Disk(a.stateDir, 2<<30),
				{Name: "backends", Timeout: 5 * time.Minute, Run: func(ctx context.Context) (string, error) { return checkBackends(ctx, f.backend) }},
				{Name: "server and pollers", Run: func(ctx context.Context) (string, error) { return checkPollers(ctx, a) }},
			})
			if asJSON {
				err = json.NewEncoder(a.stdout).Encode(t)
			} else {
				err = t.Write(a.stdout)
			}
			if err == nil && !t.OK {
				err = errors.New("preflight: a check failed")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&f.store, "store", envOr("TRMSWEEP_STORE", "gs://trmsweep"), "where checkpoints and results live (environment TRMSWEEP_STORE)")
	cmd.Flags().StringVar(&f.profile, "profile", envOr("TRMSWEEP_PROFILE", "paper"), "profile to check (environment TRMSWEEP_PROFILE)")
	cmd.Flags().StringVar(&f.backend, "backend", envOr("TRMSWEEP_BACKEND", "auto"), "backend that must open: auto, cpu, go, xla:tpu, xla:cuda, xla:cpu (environment TRMSWEEP_BACKEND)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func openStore(ctx context.Context, address string) (preflight.Opened, error) {
	b, closer, err := open.Bucket(ctx, address)
	return preflight.Opened{Bucket: b, Closer: closer, Address: address}, err
}
