package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"trmsweep/internal/blob/open"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/statedict"
	"trmsweep/internal/train"
	"trmsweep/internal/trm"
)

func newImportCmd(a *app) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "import FILE EXPERIMENT --run NAME",
		Short: "Make a run that starts from the weights of a safetensors file",
		Long: `Make a run at step 0 of EXPERIMENT whose weights are those of FILE (- for standard
input): safetensors with the reference implementation's state-dict names, as export
writes them.
Weights and averages are the file's, optimizer moments are zero, the data starts at
the beginning. Train it with the same settings:

  trmsweep train EXPERIMENT --run NAME

From PyTorch: safetensors.torch.save_file(model.state_dict(), FILE). Names may
begin with _orig_mod., module. and model.inner., in any order. NaN and infinity
are refused. An import that was killed or refused by the store is repeated with
the same command; until then train refuses the run.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := runImport(cmd.Context(), a, f, args[0], args[1:])
			return interrupted(cmd.Context(), err, fmt.Sprintf("run %s is not made: repeat the same command", f.run))
		},
	}
	fl := cmd.Flags()
	f.addSpec(fl)
	addTrainStore(fl, &f.store)
	fl.StringVar(&f.run, "run", "", "name of the run to make")
	fl.StringVar(&f.data, "data", "", "dataset folder the run will be trained on, instead of the experiment's data source")
	return cmd
}

// moreThanWeights is what a file of weights may have besides what a checkpoint has: its header, and
// rows of the puzzle embedding, of which a dataset folder may need many.
const moreThanWeights = 1 << 30

func runImport(ctx context.Context, a *app, f trainFlags, file string, args []string) (err error) {
	spec, err := trainSpec(ctx, a, f, args)
	if err != nil {
		return err
	}
	if f.run == "" || f.run == spec.RunName() {
		return usagef("import needs --run NAME, another one than %s: that name says that the weights come from the seed", spec.RunName())
	}
	data, err := readInput(ctx, file, spec.CheckpointBytes()+moreThanWeights)
	if err != nil {
		return usagef("import: %w", err)
	}
	hash, identifiers, err := importData(ctx, a, f, spec)
	if err != nil {
		return err
	}
	cfg := trm.ConfigFromSpec(spec, identifiers)
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	state, err := statedict.Decode(data, cfg.InitState(uint64(spec.Seed)))
	if err != nil {
		return usagef("%s: %w", file, err)
	}
	b, closer, err := open.Bucket(ctx, storeAddress(a, f.store))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	host, _ := os.Hostname()
	err = train.Import(ctx, train.ImportOptions{
		Bucket: b, Run: f.run, Spec: spec, DatasetHash: hash, State: state,
		From:  protocol.Imported{File: file, SHA256: fmt.Sprintf("%x", sha256.Sum256(data))},
		Owner: checkpoint.Owner{Host: host}, // without a process: nobody has to wait for one that trains
	})
	if errors.Is(err, train.ErrRunExists) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "run %s: step 0 of %s with the weights of %s\n", f.run, spec.Name, file)
	return err
}

// importData names the dataset that the run will be trained on, and its number of puzzle identifiers.
func importData(ctx context.Context, a *app, f trainFlags, spec experiment.Spec) (hash string, identifiers int, err error) {
	if f.data == "" { // every dataset built here has one identifier
		o := dataset.OptionsOf(spec)
		o.CacheDir = a.path("cache")
		o.Opener = open.Bucket
		hash, err = o.Hash(ctx)
		return hash, 1, err
	}
	folder, err := dataset.Load(f.data)
	if err != nil {
		return "", 0, usagef("--data: %w", err)
	}
	defer folder.Close()
	set, err := folder.Split("train")
	if err != nil {
		return "", 0, usagef("--data: %w", err)
	}
	return folder.Hash, set.NumPuzzleIdentifiers(), nil
}
