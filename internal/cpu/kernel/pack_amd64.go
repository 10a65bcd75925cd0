package kernel

func microTile512(a, b, c []float32, ldc, kc, rows, cols int, acc bool) {
	add := 0
	if acc {
		add = 1
	}
	tile512(&a[0], &b[0], &c[0], ldc, kc, rows, cols, add)
}

func packPanel512(dst, src []float32, lane, step, lanes, kc, width int) {
	_ = dst[kc*width-1]
	switch {
	case lane == 1:
		packCopy512(&dst[0], &src[0], step, kc, lanes, width)
	case step == 1:
		packTranspose512(&dst[0], &src[0], 4*lane, kc, min(lanes, 16), width, min(width, 16))
		if width > 16 {
			if lanes > 16 {
				packTranspose512(&dst[16], &src[16*lane], 4*lane, kc, lanes-16, width, width-16)
				return
			}
			for k := range kc {
				clear(dst[k*width+16:][:width-16])
			}
		}
	default:
		packPanelGeneric(dst, src, lane, step, lanes, kc, width)
	}
}

func transpose512(dst, src []float32, rows, cols int) {
	if rows*cols == 0 {
		return
	}
	_, _ = dst[rows*cols-1], src[rows*cols-1]
	if rows < 16 { // 16 columns at a time: whole stores of more would reach beyond the end
		for j := 0; j < cols; j += 16 {
			packTranspose512(&dst[j*rows], &src[j], 4*cols, min(16, cols-j), rows, rows, rows)
		}
		return
	}
	for i := (rows - 1) &^ 15; i >= 0; i -= 16 { // the last first: it writes beyond its lanes
		lanes := min(16, rows-i)
		packTranspose512(&dst[i], &src[i*cols], 4*cols, cols, lanes, rows, lanes)
	}
}
