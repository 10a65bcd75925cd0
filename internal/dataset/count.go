package dataset

import "context"

// countRows returns an error, before a row is written, if the puzzles of a source with
// their augmentations are too many for a dataset. It neither solves nor rates puzzles: a
// puzzle without a rating counts only if there is no minimum rating. Other faults of the
// source are reported later, by the pass that reads it to be written.
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

// shortestRow is the least number of bytes of a puzzle in a file that is not compressed: 81 cells and the end of the line.
const shortestRow = 82
