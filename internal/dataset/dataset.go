// Package dataset makes, checks, caches and reads the puzzles that a model is
// trained on: folders of .npy files in the layout of the reference
// implementation. It knows object storage as blob.Bucket and no other service.
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

// ErrInput: what the user gave is at fault (options, source, dataset folder);
// another attempt would fail in the same way.
var ErrInput = errors.New("dataset input")

// ErrOptions: the ErrInput that lies in the options, not in the data.
var ErrOptions = errors.New("dataset options")

// inputError is ErrInput, and perhaps ErrOptions, with a message of its own.
type inputError struct {
	msg     string
	options bool
}

func (e inputError) Error() string { return e.msg }
func (e inputError) Is(target error) bool {
	if target == ErrOptions {
		return e.options
	}
	return target == ErrInput
}

func inputf(format string, args ...any) error { return inputError{msg: fmt.Sprintf(format, args...)} }

func optionsf(format string, args ...any) error {
	return inputError{msg: fmt.Sprintf(format, args...), options: true}
}

// Opener opens the bucket of a gs:// address; whoever calls it closes the bucket.
type Opener func(ctx context.Context, address string) (blob.Bucket, io.Closer, error)

// SourceGenerate is the source that makes its own puzzles.
const SourceGenerate = "generate"

// formatVersion changes when the same options give other bytes.
// 2: ratings by a search that locks candidates in columns too.
const formatVersion = 2

// Options say what to build.
type Options struct {
	Source     string // "generate", "generate:PROFILE", a CSV (plain, .gz, .zst), a list of puzzles, a folder with train.csv and test.csv, gs:// and either of them, hf:owner/name[@revision]
	TestSource string // file of the test split; empty = the folder's test.csv, or the generator's
	Subsample  int    // train groups drawn from the source, 0 = all
	NumAug     int    // augmented copies of every train puzzle beside itself
	MinRating  int    // backtracks, of both splits
	Count      int    // generate: train puzzles (0 = Subsample)
	TestCount  int    // test puzzles drawn (0 = all of the source; generate: 0 = 1000)
	Profile    string // generate: ratings to aim at, one of sudoku.Profiles
	Minimal    bool   // generate: no clue too many, also in puzzles of a profile; others always are
	Seed       int64

	Compact      bool // uint8 inputs and labels always; the reference writes int64 where NumAug > 0
	VerifyUnique bool // prove that every question has one solution
	SkipBad      bool // leave faulty rows out instead of failing
	Force        bool // replace what is at the output folder

	Workers  int       // 0 = all cores; never changes the bytes
	Stdin    io.Reader // read for the source "-"; where it is set, files may be pipes too. For Build only
	Opener   Opener    // needed for gs://
	sources  *sources  // buckets that Opener has opened for this call
	CacheDir string    // for downloads; empty = the system's folder of caches
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
	}{{"subsample", o.Subsample}, {"number of augmentations", o.NumAug}, {"minimum rating", o.MinRating}, {"count", o.Count}, {"test count", o.TestCount}} {
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
	if like := o.Profile != "" || o.Minimal; like && !o.generates() {
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
		o.Minimal = false // they are
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
	// What is known of the rows before anything is read. A source may have more.
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

// Progress is where a build stands; Total is 0 while unknown.
type Progress struct {
	Stage       string // "download", "train", "test"
	Done, Total int64
}
