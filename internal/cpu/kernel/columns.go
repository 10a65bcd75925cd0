package kernel

import "math"

var transpose func(dst, src []float32, rows, cols int)

// RMSNormColumns normalises each column of rows×n values: dst[i,j] = x[i,j]*inv[j], inv[j] = 1/sqrt(mean over i of x² + eps). inv
// (n values, required) receives the factors; dst may be x. Sums run over the rows in order.
func RMSNormColumns(dst, x, inv []float32, rows, n int, eps float32) {
	inv = inv[:n]
	clear(inv)
	for i := range rows {
		r := x[i*n:][:n]
		MulAdd(inv, r, r)
	}
	for j, s := range inv {
		inv[j] = float32(1 / math.Sqrt(float64(s/float32(rows)+eps)))
	}
	for i := range rows {
		Mul(dst[i*n:][:n], x[i*n:][:n], inv)
	}
}

// RMSNormColumnsGrad computes dx = inv*dy - x*inv³*mean(x*dy) per column, from the forward input x and its inv. scratch holds n values
// and overlaps nothing; dx may be dy.
func RMSNormColumnsGrad(dx, x, dy, inv, scratch []float32, rows, n int) {
	inv, scratch = inv[:n], scratch[:n]
	clear(scratch)
	for i := range rows {
		MulAdd(scratch, x[i*n:][:n], dy[i*n:][:n])
	}
	for j, f := range inv {
		scratch[j] *= -f * f * f / float32(rows)
	}
	for i := range rows {
		d := dx[i*n:][:n]
		Mul(d, dy[i*n:][:n], inv)
		MulAdd(d, x[i*n:][:n], scratch)
	}
}

// Transpose writes dst[b,j,i] = src[b,i,j] for batch matrices of rows×cols. dst overlaps nothing.
func Transpose(dst, src []float32, batch, rows, cols int) {
	for b := range batch {
		transpose(dst[b*rows*cols:][:rows*cols], src[b*rows*cols:][:rows*cols], rows, cols)
	}
}

func transposeGeneric(dst, src []float32, rows, cols int) {
	for i0 := 0; i0 < rows; i0 += 16 {
		for j := range cols {
			for i := i0; i < min(i0+16, rows); i++ {
				dst[j*rows+i] = src[i*cols+j]
			}
		}
	}
}
