package dataset

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"trmsweep/internal/version"
)

// Summary describes a dataset that was built. It is the content of provenance.json.
type Summary struct {
	FormatVersion int          `json:"format_version"`
	CodeVersion   string       `json:"code_version"`
	Source        string       `json:"source"`
	TestSource    string       `json:"test_source,omitempty"`
	Revision      string       `json:"revision,omitempty"`
	TrainSHA256   string       `json:"train_sha256,omitempty"` // of the source file
	TestSHA256    string       `json:"test_sha256,omitempty"`
	Hash          string       `json:"hash"` // see Options.Hash
	Seed          int64        `json:"seed"`
	NumAug        int          `json:"num_aug"`
	MinRating     int          `json:"min_rating"`
	Subsample     int          `json:"subsample"`
	Count         int          `json:"count"`
	TestCount     int          `json:"test_count"`
	Profile       string       `json:"profile,omitempty"`
	Minimal       bool         `json:"minimal,omitempty"`
	Compact       bool         `json:"compact"`
	VerifyUnique  bool         `json:"verify_unique"`
	SkipBad       bool         `json:"skip_bad"`
	Train         SplitSummary `json:"train"`
	Test          SplitSummary `json:"test"`
	// TestInTrain lists the first 20 test groups that are equal to a train puzzle up to symmetry. TestInTrainCount counts all of them.
	TestInTrain      []int `json:"test_in_train,omitempty"`
	TestInTrainCount int   `json:"test_in_train_count"`
}

// SplitSummary describes one split.
type SplitSummary struct {
	SourceRows int64       `json:"source_rows"` // number of rows read
	BadRows    int64       `json:"bad_rows"`    // number of faulty rows, which are left out
	Faults     []string    `json:"faults,omitempty"`
	Groups     int         `json:"groups"`
	Rows       int         `json:"rows"`
	Ratings    map[int]int `json:"ratings"` // rating -> number of groups
	Clues      map[int]int `json:"clues"`
}

// maxFaults is the greatest number of faulty rows that are listed. All are counted.
const maxFaults = 20

// Build writes the dataset to outDir. It fills a folder beside outDir and renames it at
// the end, so that a failure leaves nothing. progress may be nil; it is called from one
// goroutine at a time. Errors that only the user can mend are ErrInput.
func Build(ctx context.Context, o Options, outDir string, progress func(Progress)) (Summary, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	o, end, err := o.begin()
	defer end()
	if err != nil {
		return Summary{}, err
	}
	if outDir, err = filepath.Abs(outDir); err != nil {
		return Summary{}, err
	}
	if err := mayWrite(outDir, o.Force); err != nil {
		return Summary{}, err
	}
	src, err := resolve(ctx, o, progress)
	if err != nil {
		return Summary{}, err
	}
	defer src.remove()
	tmp, release, err := newPart(outDir)
	if err != nil {
		return Summary{}, fmt.Errorf("make output folder %s: %w", outDir, err)
	}
	defer release()
	sum, err := build(ctx, o, src, tmp, progress)
	if err != nil {
		return sum, err
	}
	if err := mayWrite(outDir, o.Force); err != nil { // the folder may have appeared in the meantime
		return sum, err
	}
	if o.Force {
		if err := removeDataset(outDir); err != nil {
			return sum, fmt.Errorf("remove the old dataset: %w", err)
		}
	}
	if err := os.Rename(tmp, outDir); err != nil {
		return sum, fmt.Errorf("move dataset to its place: %w", err)
	}
	return sum, nil
}

// datasetFiles are the names in a dataset folder; splitFiles are the names in its folders train and test.
var (
	datasetFiles = []string{"identifiers.json", provenanceFile}
	splitFiles   = []string{
		metaFile, compactFile, arrayFile("inputs"), arrayFile("labels"),
		arrayFile("puzzle_identifiers"), arrayFile("puzzle_indices"), arrayFile("group_indices"),
	}
	splitNames = []string{"train", "test"}
)

// mayWrite returns an error if the output folder exists. With force, it returns an error
// only if the folder is not proven to be a dataset and nothing else.
func mayWrite(outDir string, force bool) error {
	st, err := os.Lstat(outDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && !errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("look at output folder %s: %w", outDir, err)
	case err != nil:
		return optionsf("output folder %s: %v", outDir, err)
	case !force:
		return optionsf("output folder %s exists already; remove it, choose another, or force", outDir)
	case !st.IsDir():
		return optionsf("output folder %s is %s: nothing was deleted, also by force", outDir, kindOf(st.Mode()))
	}
	if strange, err := strangerIn(outDir); err != nil || strange != "" {
		if err != nil {
			return fmt.Errorf("look at output folder %s: %w", outDir, err)
		}
		return optionsf("output folder %s holds %s, which is no part of a dataset: nothing was deleted, also by force", outDir, strange)
	}
	if !provenDataset(outDir) {
		return optionsf("output folder %s is no dataset: no %s and no %s in it says so; nothing was deleted, also by force",
			outDir, provenanceFile, metaFile)
	}
	return nil
}

// strangerIn returns the path of a file or folder that is not part of a dataset, "" if
// there is none: it has an unknown name, or a known name but another file type.
func strangerIn(dir string) (string, error) {
	strange := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		split, file := filepath.Split(name)
		known := slices.Contains(splitFiles, file) && d.Type().IsRegular()
		if split == "" {
			isFile := slices.Contains(datasetFiles, file) && d.Type().IsRegular()
			isSplit := slices.Contains(splitNames, file) && d.IsDir()
			known = isFile || isSplit
		}
		if !known {
			strange = name
			return fs.SkipAll
		}
		return nil
	})
	return strange, err
}

// provenDataset says whether a file that only datasets have exists and has the right content.
func provenDataset(dir string) bool {
	var sum Summary
	if decodeFile(filepath.Join(dir, provenanceFile), &sum) && sum.FormatVersion > 0 && isHash(sum.Hash) {
		return true
	}
	for _, split := range splitNames {
		var m metadata
		if decodeFile(filepath.Join(dir, split, metaFile), &m) && m.SeqLen == 81 && m.VocabSize == 11 {
			return true
		}
	}
	return false
}

func decodeFile(path string, to any) bool {
	f, err := openRegular(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return json.NewDecoder(io.LimitReader(f, 64<<20)).Decode(to) == nil
}

// removeDataset deletes the files of a dataset by their names, and the folders if they
// are empty then. Files that appeared after mayWrite looked are kept.
func removeDataset(dir string) error {
	var errs []error
	remove := func(elem ...string) {
		if err := os.Remove(filepath.Join(append([]string{dir}, elem...)...)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, split := range splitNames {
		for _, file := range splitFiles {
			remove(split, file)
		}
		remove(split)
	}
	for _, file := range datasetFiles {
		remove(file)
	}
	remove()
	return errors.Join(errs...)
}

// split is the train or the test part of a dataset and the origin of its puzzles.
type split struct {
	name    string
	path    string // local file of the source
	address string // the source as the user named it
	sha256  string // of the file at path
	pick    int    // number of rows drawn from the source, 0 = all
	wanted  int    // number of puzzles to generate, if the source is the generator
	numAug  int
	salt    uint64
	summary *SplitSummary
}

func build(ctx context.Context, o Options, src resolved, dir string, progress func(Progress)) (Summary, error) {
	sum := Summary{
		FormatVersion: formatVersion, CodeVersion: version.Code(), Source: o.Source, TestSource: o.TestSource, Revision: src.revision,
		TrainSHA256: src.trainSHA256, TestSHA256: src.testSHA256, Hash: o.identity(src), Seed: o.Seed,
		NumAug: o.NumAug, MinRating: o.MinRating, Subsample: o.Subsample, Count: o.Count, TestCount: o.TestCount,
		Profile: o.Profile, Minimal: o.Minimal, Compact: o.Compact, VerifyUnique: o.VerifyUnique, SkipBad: o.SkipBad,
	}
	tw := new(twins)
	defer tw.close()
	for _, s := range []split{
		{
			name: "train", path: src.train, address: addressOf(src.train, o.Source, src), sha256: src.trainSHA256,
			pick: o.Subsample, wanted: o.Count, numAug: o.NumAug, salt: 1, summary: &sum.Train,
		},
		{
			name: "test", path: src.test, address: addressOf(src.test, o.TestSource, src), sha256: src.testSHA256,
			pick: o.TestCount, wanted: o.TestCount, salt: 2, summary: &sum.Test,
		},
	} {
		if !o.generates() && s.path == "" {
			continue
		}
		if err := buildSplit(ctx, o, s, dir, tw, &sum, progress); err != nil {
			return sum, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "identifiers.json"), []byte(`["<blank>"]`), 0o644); err != nil {
		return sum, diskError(err)
	}
	b, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		return sum, err
	}
	return sum, diskError(os.WriteFile(filepath.Join(dir, provenanceFile), append(b, '\n'), 0o644))
}

// addressOf returns the file's name; if the file is a temporary copy, it returns the name of its source.
func addressOf(file, source string, src resolved) string {
	if slices.Contains(src.spooled, file) {
		return source
	}
	return file
}

func buildSplit(ctx context.Context, o Options, s split, dir string, tw *twins, sum *Summary, progress func(Progress)) error {
	if err := countRows(ctx, o, s, progress); err != nil {
		return err
	}
	w, err := newSplitWriter(ctx, filepath.Join(dir, s.name), o, s.numAug)
	if err != nil {
		return err
	}
	test := s.name == "test"
	compare := o.generates() || sum.TestSHA256 != "" // whether there will be a test split
	add := func(p row) error {
		if compare && p.print == 0 {
			p.print = p.Question.Fingerprint()
		}
		switch {
		case test:
			twin, err := tw.has(p.print, &p.Question)
			if err != nil {
				return fmt.Errorf("compare test with train puzzles: %w", err)
			}
			if twin {
				if sum.TestInTrainCount++; len(sum.TestInTrain) < maxFaults {
					sum.TestInTrain = append(sum.TestInTrain, w.groups)
				}
			}
		case compare:
			tw.add(p.print, w.groups)
		}
		return w.add(p)
	}
	if o.generates() {
		err = generate(ctx, o, s, tw, progress, add)
		s.summary.SourceRows = int64(s.wanted)
	} else {
		err = readSplit(ctx, o, s, compare, progress, add)
	}
	if err == nil && w.groups == 0 {
		err = inputf("the %s split has no puzzle left (minimum rating %d) of the %d in %s",
			s.name, o.MinRating, s.summary.SourceRows, cmp.Or(s.address, "its source"))
	}
	if err != nil {
		w.abandon()
		return err
	}
	if err := w.finish(); err != nil {
		return fmt.Errorf("write %s split: %w", s.name, err)
	}
	s.summary.Groups, s.summary.Rows = w.groups, w.groups*w.rowsPerGroup()
	s.summary.Ratings, s.summary.Clues = w.ratings, w.clues
	if test || !compare {
		return nil
	}
	return tw.written(w)
}

const provenanceFile = "provenance.json"
