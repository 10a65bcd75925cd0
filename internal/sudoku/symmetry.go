package sudoku

// Transform is one symmetry of Sudoku: an optional transpose of x, then
// out[i][j] = Digits[x[Rows[i]][Cols[j]]].
type Transform struct {
	Digits     [10]uint8 // Digits[0] = 0
	Transpose  bool
	Rows, Cols [9]uint8
}

// RandomTransform draws as the reference implementation does: digits are permuted, the grid
// is transposed with probability 1/2, bands and the rows in each band are permuted, and
// the columns likewise.
func RandomTransform(r *Rand) Transform {
	var t Transform
	for i := range t.Digits {
		t.Digits[i] = uint8(i)
	}
	Shuffle(r, t.Digits[1:])
	t.Transpose = r.Uint64()>>63 != 0
	t.Rows, t.Cols = randomLines(r), randomLines(r)
	return t
}

func randomLines(r *Rand) (out [9]uint8) {
	bands := [3]uint8{0, 1, 2}
	Shuffle(r, bands[:])
	for i, b := range bands {
		lines := [3]uint8{0, 1, 2}
		Shuffle(r, lines[:])
		for j, l := range lines {
			out[3*i+j] = 3*b + l
		}
	}
	return out
}

// Source returns, for each cell of the result, the cell that it comes from.
func (t *Transform) Source() (src [81]uint8) {
	for i, r := range t.Rows {
		for j, c := range t.Cols {
			if t.Transpose {
				src[9*i+j] = 9*c + r
			} else {
				src[9*i+j] = 9*r + c
			}
		}
	}
	return src
}

// Apply returns the transformed grid.
func (t *Transform) Apply(g *Grid) (out Grid) {
	src := t.Source()
	for i := range out {
		out[i] = t.Digits[g[src[i]]]
	}
	return out
}

// Fingerprint returns a 64-bit number that is the same for all puzzles that are equal up to
// symmetry. Different puzzles have the same one only if three rounds of colour refinement
// over rows, columns, bands, stacks and digits cannot distinguish them, or by chance (2^-64).
func (g *Grid) Fingerprint() uint64 {
	var row, col, dig [9]uint64
	var band, stack [3]uint64
	for range 4 {
		var nr, nc, nd [9]uint64
		var nb, ns [3]uint64
		for i, d := range g {
			if d == 0 {
				continue
			}
			r, c, e := i/9, i%9, int(d)-1
			rh, ch := mix64(row[r]+3*mix64(band[r/3]+1)), mix64(col[c]+3*mix64(stack[c/3]+1))
			h := mix64(dig[e] + 7)
			nr[r] += mix64(ch*5 + h)
			nc[c] += mix64(rh*5 + h)
			nd[e] += mix64((rh ^ ch) + mix64(rh+ch)) // does not change under a transpose
		}
		for i := range 9 {
			row[i], col[i], dig[i] = mix64(nr[i]+row[i]*9+1), mix64(nc[i]+col[i]*9+1), mix64(nd[i]+dig[i]*9+2)
			nb[i/3] += mix64(row[i] + 11)
			ns[i/3] += mix64(col[i] + 11)
		}
		for i := range 3 {
			band[i], stack[i] = mix64(nb[i]), mix64(ns[i])
		}
	}
	var b, s, d uint64
	for i := range 3 {
		b += mix64(band[i] + 13)
		s += mix64(stack[i] + 13)
	}
	for _, x := range dig {
		d += mix64(x + 17)
	}
	return mix64((b ^ s) + mix64(b+s) + d)
}
