package main

import (
	"os"

	"github.com/spf13/cobra"

	"trmsweep/internal/aot"
)

// newAOTCmd is the child process of `plan --compile-for`: libtpu aborts where it should return an error.
func newAOTCmd() *cobra.Command {
	return &cobra.Command{
		Use: "aot-compile", Short: "Compile one program for a TPU; the request is JSON on standard input", Args: cobra.NoArgs, Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			if err := aot.Child(os.Stdin); err != nil {
				return usageError{err}
			}
			return nil
		},
	}
}
