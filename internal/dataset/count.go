package dataset

import "context"

// countRows refuses a source whose puzzles, with their augmentations, are too many for a dataset,
// before a row is written. It solves and rates nothing: a puzzle without a rating counts only if every rating
// is wanted. What else is wrong with the source is said where it is read to be written.
func countRows(ctx context.Context, o Options, s split, progress func(Progress)) error {
	if o.generates() || s.pick > 0 || s.numAug == 0 {
		return nil
	}
	f, err := openRegular(s.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	head := make([]byte, 4)
	n, _ := f.ReadAt(head, 0)
	packed := packing(s.path, head[:n]) != ""
	most := maxRows / (s.numAug + 1)
	if !packed && st.Size()/shortestRow < int64(most) {
		return nil
	}
	in, err := unpack(s.path, f)
	if err != nil {
		return nil
	}
	defer in.Close()
	var tooMany error
	puzzles, read := 0, int64(0)
	_ = reader{parse: true, skipBad: o.SkipBad, workers: o.Workers}.read(ctx, in, func(p row, fault *errRow) error {
		if read++; read%4096 == 0 {
			progress(Progress{Stage: "count " + s.name, Done: read})
		}
		if fault != nil || p.Rating < o.MinRating {
			return nil
		}
		puzzles++
		if puzzles > most {
			tooMany = optionsf("source %s has more than %d puzzles, and with %d augmentations each they are more than %d rows, "+
				"the most that a dataset's indices can count; lower the number of augmentations, or draw fewer puzzles",
				s.address, most, s.numAug, maxRows)
		}
		return tooMany
	})
	if tooMany != nil {
		return tooMany
	}
	return ctx.Err()
}

// shortestRow is the least that a puzzle takes in a file that is not packed: 81 cells and the end of the line.
const shortestRow = 82
