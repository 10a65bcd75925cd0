package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/statedict"
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
has no average and is the live one in both.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := atLeast(cmd, 0, "step"); err != nil && cmd.Flags().Changed("step") {
				return err
			}
			return runExport(cmd.Context(), a, f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.store, "store", "", storeHelp)
	fl.StringVar(&f.out, "out", "", "file to write")
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
	runs := blob.Prefix(b, "runs/"+run+"/")
	head, err := checkpoint.ReadHead(ctx, runs)
	if errors.Is(err, blob.ErrNotExist) {
		return usagef("export: there is no run %q in %s; `trmsweep plan --json` shows the names of runs", run, storeAddress(a, f.store))
	}
	if err != nil {
		return fmt.Errorf("export run %s: %w", run, err)
	}
	entry, err := f.choose(head)
	if err != nil {
		return usagef("export run %s: %w", run, err)
	}
	ck, err := checkpoint.LoadState(ctx, runs, entry)
	if err != nil {
		return fmt.Errorf("export run %s: %w", run, err)
	}
	data, err := statedict.Encode(ck.State, f.ema)
	if err != nil {
		return err
	}
	if err := replaceFile(f.out, data); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s: weights of run %s at step %d, %d bytes\n", f.out, run, ck.Step, len(data))
	return err
}

// choose picks one of the run's checkpoints that can be read.
func (f exportFlags) choose(h checkpoint.Head) (checkpoint.Entry, error) {
	var steps []int64
	for i := len(h.Entries) - 1; i >= 0; i-- {
		e := h.Entries[i]
		if e.Bad != "" {
			continue
		}
		if f.best && e.Best || f.step == e.Step || !f.best && f.step < 0 {
			return e, nil
		}
		steps = append(steps, e.Step)
	}
	switch {
	case len(steps) == 0:
		return checkpoint.Entry{}, errors.New("it has no checkpoint yet")
	case f.best:
		return checkpoint.Entry{}, errors.New("no kept checkpoint was evaluated; leave --best out for the newest one")
	}
	return checkpoint.Entry{}, fmt.Errorf("no checkpoint of step %d; there are %d", f.step, steps)
}

// replaceFile writes a file so that it is whole or not there at all.
func replaceFile(name string, data []byte) (err error) {
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		return usagef("write %s: it is a folder; name a file", name)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp")
	if err != nil {
		return usagef("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(tmp.Name(), name)
}
