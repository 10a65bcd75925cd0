//go:build amd64 || arm64

package kernel

// microTileSmall covers a tile by six smaller ones, of five or four rows and 16 columns; partial tiles go through a buffer.
func microTileSmall(a, b, c []float32, ldc, kc, rows, cols int, acc bool) {
	var edge [tileM * tileN]float32
	d, ld, add := c, ldc, 0
	partial := rows < tileM || cols < tileN
	if partial {
		d, ld = edge[:], tileN
	} else if acc {
		add = 1
	}
	for q := 0; q < tileN; q += 16 {
		fiveRows(&a[0], &b[q], &d[q], ld, kc, add)
		fiveRows(&a[5], &b[q], &d[5*ld+q], ld, kc, add)
		fourRows(&a[10], &b[q], &d[10*ld+q], ld, kc, add)
	}
	if !partial {
		return
	}
	for i := range rows {
		o, e := c[i*ldc:][:cols], edge[i*tileN:]
		for j := range o {
			if acc {
				o[j] += e[j]
			} else {
				o[j] = e[j]
			}
		}
	}
}
