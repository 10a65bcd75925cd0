// Package dataset makes, checks, caches and reads the puzzles that a model is trained on.
//
//	Options          source (CSV, list, gs://, hf:, generator), filters, augmentations, seed
//	   | resolve     the source becomes local files with known SHA-256
//	   | reader      parses, checks, solves and rates rows in parallel; drawing picks rows
//	   | splitWriter augments and writes folders of .npy files in the layout of the
//	   |             reference implementation, and provenance.json (Build)
//	   | Ensure      keeps them in a local cache and in the store under datasets/<hash>/
//	   | Open, Load  map or read a split as a Set
//	Sampler          returns the rows of training batches by step, seed and rank
//
// The same options and source always give the same bytes. The package uses object storage
// through blob.Bucket and the Hugging Face Hub, and no other service.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"trmsweep/internal/blob"
	"trmsweep/internal/sudoku"
)

// ErrInput says that the user's input is wrong: options, source or dataset folder.
// A retry would fail in the same way.
var ErrInput = errors.New("dataset input")

// ErrOptions is an ErrInput that is caused by the options and not by the data.
var ErrOptions = errors.New("dataset options")

// inputError is an ErrInput with its own message. It is an ErrOptions too if options is set.
type inputError struct {
	msg     string
	options bool
}

func (e inputError) Error() string { return e.msg }
func (e inputError) Is(target error) bool {
	switch target {
	case ErrInput:
		return true
	case ErrOptions:
		return e.options
	}
	return false
}

func inputf(format string, args ...any) error { return inputError{msg: fmt.Sprintf(format, args...)} }

func optionsf(format string, args ...any) error {
	return inputError{msg: fmt.Sprintf(format, args...), options: true}
}

// Opener opens the bucket of a gs:// address. The caller closes the bucket.
type Opener func(ctx context.Context, address string) (blob.Bucket, io.Closer, error)

// SourceGenerate is the source that generates new puzzles.
const SourceGenerate = "generate"

// formatVersion must be raised whenever the same options give other bytes.
// Version 2: ratings come from a search that locks candidates in columns too.
const formatVersion = 2

// Options specify a dataset to build.
type Options struct {
	// Source is "generate", "generate:PROFILE", a CSV (plain, .gz, .zst), a list of puzzles, a folder
	// with train.csv and test.csv, a gs:// address of one of these, or hf:owner/name[@revision].
	Source     string
	TestSource string // file of the test split; empty = test.csv of the folder, or the generator
	Subsample  int    // number of train groups drawn from the source, 0 = all
	NumAug     int    // number of augmented copies in addition to every train puzzle
	MinRating  int    // least rating (backtracks of a solver) of puzzles in both splits
	Count      int    // generator: number of train puzzles (0 = Subsample)
	TestCount  int    // number of test puzzles drawn (0 = all of the source; generator: 0 = 1000)
	Profile    string // generator: distribution of ratings, one of sudoku.Profiles
	Minimal    bool   // generator: remove every redundant clue; puzzles without a profile are always minimal
	Seed       int64

	Compact      bool // always write uint8 inputs and labels; the reference writes int64 if NumAug > 0
	VerifyUnique bool // check that every question has exactly one solution
	SkipBad      bool // leave out faulty rows instead of failing
	Force        bool // replace the dataset in the output folder

	Workers  int       // number of goroutines, 0 = one per core; never changes the bytes
	Stdin    io.Reader // content of the source "-", for Build only; if it is set, files may be pipes too
	Opener   Opener    // required for gs:// sources
	sources  *sources  // buckets that Opener opened during this call
	CacheDir string    // folder for downloads; empty = the system's cache folder
}

func (o Options) generates() bool { return o.Source == SourceGenerate }

func (o Options) normal() (Options, error) {
	var faults []string
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if o.Source == "" {
		bad("no source; give a CSV file, a folder with train.csv and test.csv, gs://..., hf:owner/name, or %q", SourceGenerate)
	}
	for _, n := range []struct {
		name string
		v    int
	}{
		{"subsample", o.Subsample},
		{"number of augmentations", o.NumAug},
		{"minimum rating", o.MinRating},
		{"count", o.Count},
		{"test count", o.TestCount},
	} {
		if n.v < 0 {
			bad("%s is %d, must not be negative", n.name, n.v)
		}
	}
	if name, ok := strings.CutPrefix(o.Source, SourceGenerate+":"); ok {
		if o.Profile != "" && o.Profile != name {
			bad("source %s and profile %q differ", o.Source, o.Profile)
		}
		o.Source, o.Profile = SourceGenerate, name
		if name == "" {
			bad("source %s: names no profile", o.Source)
		}
	}
	if strings.HasPrefix(o.Source, hubScheme) {
		if _, _, err := parseHub(o.Source); err != nil {
			bad("%v", err)
		}
	}
	wantsGenerator := o.Profile != "" || o.Minimal
	if wantsGenerator && !o.generates() {
		bad("a profile and minimal puzzles can only be had with source %q", SourceGenerate)
	}
	if o.Profile != "" {
		if _, err := sudoku.ProfileNamed(o.Profile); err != nil {
			bad("%v", err)
		}
		if o.MinRating > 0 {
			bad("a profile has its own ratings; leave the minimum rating away")
		}
	} else {
		o.Minimal = false // puzzles without a profile are always minimal
	}
	if o.generates() {
		if o.Count == 0 {
			o.Count = o.Subsample
		}
		if o.Count == 0 {
			o.Count = 1000
		}
		if o.TestCount == 0 {
			o.TestCount = 1000
		}
		o.Subsample, o.VerifyUnique, o.SkipBad = 0, false, false
		if o.TestSource != "" {
			bad("a test source makes no sense with source %q", SourceGenerate)
		}
	} else {
		o.Count = 0
	}
	// This checks the number of rows that is known without reading. A source may have more.
	if o.NumAug >= 0 {
		if err := checkRows(max(o.Count, o.Subsample, 1), o.NumAug); err != nil {
			bad("%v", err)
		}
	}
	if o.MinRating > maxRating {
		bad("minimum rating is %d, ratings go up to %d", o.MinRating, maxRating)
	}
	if len(faults) > 0 {
		return o, optionsf("dataset options: %s", strings.Join(faults, "; "))
	}
	return o, nil
}

// Progress reports how far a build is. Total is 0 while it is unknown.
type Progress struct {
	Stage       string // "download", "train", "test"
	Done, Total int64
}
