package main

// tile256 writes a tile of the given rows and 16 columns for AVX2+FMA, on the same packed layout.
func tile256(rows int) {
	emit("\nTEXT ·tile256x%d(SB), NOSPLIT, $0-48\n\tMOVQ a+0(FP), R8\n\tMOVQ b+8(FP), R9\n"+
		"\tMOVQ c+16(FP), R10\n\tMOVQ ldc+24(FP), R11\n\tSHLQ $2, R11\n\tMOVQ kc+32(FP), CX\n"+
		"\tMOVQ acc+40(FP), R13", rows)
	for i := range 2 * rows {
		emit("\tVXORPS Y%d, Y%d, Y%d", i, i, i)
	}
	emit("loop:\n\tVMOVUPS (R9), Y12\n\tVMOVUPS 32(R9), Y13")
	for i := range rows {
		emit("\tVBROADCASTSS %d(R8), Y%d\n\tVFMADD231PS Y12, Y%d, Y%d\n\tVFMADD231PS Y13, Y%d, Y%d", 4*i, 14+i%2, 14+i%2, 2*i, 14+i%2, 2*i+1)
	}
	emit("\tADDQ $%d, R8\n\tADDQ $128, R9\n\tDECQ CX\n\tJNZ loop\n\tTESTQ R13, R13\n\tJNZ add", 4*tileM)
	for _, acc := range []bool{false, true} {
		if acc {
			emit("add:")
		}
		for i := range rows {
			for h := range 2 {
				if acc {
					emit("\tVADDPS %d(R10), Y%d, Y%d", 32*h, 2*i+h, 2*i+h)
				}
				emit("\tVMOVUPS Y%d, %d(R10)", 2*i+h, 32*h)
			}
			emit("\tADDQ R11, R10")
		}
		emit("\tVZEROUPPER\n\tRET")
	}
}
