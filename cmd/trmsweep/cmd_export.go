package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"trmsweep/internal/statedict"
	"trmsweep/internal/train"
)

type exportFlags struct {
	store, out string
	ema, best  bool
	step       int64
}

func newExportCmd(a *app) *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export RUN --out FILE",
		Short: "Write a run's weights as safetensors under the reference implementation's names",
		Long: `Write the weights of a run's checkpoint as a safetensors file under the
reference implementation's state-dict names (model.inner.lm_head.weight ...). In
PyTorch:

  model.load_state_dict(safetensors.torch.load_file(FILE))

--ema writes the averaged weights, the ones evaluation uses. The puzzle embedding
has no average and is the live one in both.

--out is a new file, or a safetensors or empty file to replace. - is standard output;
a pipe or a character device is written to. Nothing else is touched: no other file,
no folder, no block device, and nothing behind a symbolic link.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := atLeast(cmd, 0, "step"); err != nil && cmd.Flags().Changed("step") {
				return err
			}
			return runExport(cmd.Context(), a, f, args[0])
		},
	}
	fl := cmd.Flags()
	addResultsStore(fl, &f.store)
	fl.StringVar(&f.out, "out", "", "file to write, - for standard output")
	fl.BoolVar(&f.ema, "ema", false, "the averaged weights instead of the live ones")
	fl.BoolVar(&f.best, "best", false, "the checkpoint with the best exact accuracy instead of the newest")
	fl.Int64Var(&f.step, "step", -1, "the checkpoint of this step instead of the newest")
	return cmd
}

func runExport(ctx context.Context, a *app, f exportFlags, run string) (err error) {
	if f.out == "" {
		return usagef("export needs --out FILE")
	}
	if f.best && f.step >= 0 {
		return usagef("export takes --best or --step, not both")
	}
	b, closer, err := openToRead(ctx, a, f.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	ck, err := train.LoadCheckpoint(ctx, b, run, f.at())
	switch {
	case errors.Is(err, train.ErrNoRun):
		return usagef("export: there is no run %q in %s; `trmsweep plan --json` shows the names of runs", run, storeAddress(a, f.store))
	case errors.Is(err, train.ErrNoCheckpoint):
		return usagef("export: %w", err)
	case err != nil:
		return fmt.Errorf("export: %w", err)
	}
	data, err := statedict.Encode(ck.State, f.ema)
	if err != nil {
		return err
	}
	if streams(f.out) {
		if _, err := a.stdout.Write(data); err != nil {
			return fmt.Errorf("write to standard output: %w", err)
		}
		return nil
	}
	if err := writeWeights(f.out, data); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s: weights of run %s at step %d, %d bytes\n", f.out, run, ck.Step, len(data))
	return err
}

// at is the checkpoint that is asked for, as train.LoadCheckpoint wants it.
func (f exportFlags) at() string {
	switch {
	case f.best:
		return "best"
	case f.step >= 0:
		return strconv.FormatInt(f.step, 10)
	}
	return "newest"
}
