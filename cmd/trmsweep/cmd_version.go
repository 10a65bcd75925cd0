package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"trmsweep/internal/version"
)

// newVersionCmd prints what --version does, as many programs have it.
func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the code",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.stdout, "trmsweep version %s\n", version.Code())
			return err
		},
	}
}
