package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"trmsweep/internal/localstack"
)

func newForgetCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Delete the state folder: histories, checkpoints, results, datasets, logs",
		Long: `Delete the state folder: histories, checkpoints, results, datasets, logs. It
refuses while a stack runs on the folder, and any folder that is not one.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			bytes, err := localstack.Forget(a.stateDir)
			if errors.Is(err, localstack.ErrForeign) {
				return usageError{err}
			}
			missing, empty := errors.Is(err, fs.ErrNotExist), errors.Is(err, localstack.ErrEmpty)
			nothing := missing || empty
			if err != nil && !nothing {
				return err
			}
			switch {
			case asJSON:
				return json.NewEncoder(a.stdout).Encode(map[string]any{"state": a.stateDir, "action": "forget", "done": !nothing, "bytes": bytes})
			case missing:
				fmt.Fprintf(a.stdout, "nothing to forget: no folder %s\n", a.stateDir)
			case empty:
				fmt.Fprintf(a.stdout, "nothing to forget: %s is empty\n", a.stateDir)
			default:
				fmt.Fprintf(a.stdout, "forgot %s, %.1f MB\n", a.stateDir, float64(bytes)/1e6)
			}
			return nil
		},
	}
	addJSON(cmd.Flags(), &asJSON)
	return cmd
}
