package main

// tileNEON writes a tile of the given rows and 16 columns for NEON, on the same packed layout: four vectors of B, and rows of A as
// elements of one vector or two. The assembler lacks FMLA by element and the addition of vectors: they are written as words.
func tileNEON(rows int) {
	fmlaByElement := func(d, n, m, index int) int {
		return 0x4f801000 | index&1<<21 | m<<16 | index>>1<<11 | n<<5 | d
	}
	fadd := func(d, n, m int) int { return 0x4e20d400 | m<<16 | n<<5 | d }
	emit("\nTEXT ·tileNEONx%d(SB), NOSPLIT, $0-48", rows)
	emit("\tMOVD a+0(FP), R0\n\tMOVD b+8(FP), R1\n\tMOVD c+16(FP), R2\n\tMOVD ldc+24(FP), R3\n" +
		"\tLSL $2, R3, R3\n\tMOVD kc+32(FP), R4\n\tMOVD acc+40(FP), R5")
	for i := range 4 * rows {
		emit("\tVEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	emit("loop:\n\tVLD1 (R1), [V20.S4, V21.S4, V22.S4, V23.S4]")
	if rows > 4 {
		emit("\tVLD1 (R0), [V24.S4, V25.S4]")
	} else {
		emit("\tVLD1 (R0), [V24.S4]")
	}
	emit("\tADD $128, R1\n\tADD $%d, R0", 4*tileM)
	for i := range rows {
		for h := range 4 {
			emit("\tWORD $0x%08x // FMLA V%d.S[%d], V%d.S4, V%d.S4", fmlaByElement(4*i+h, 20+h, 24+i/4, i%4), 24+i/4, i%4, 20+h, 4*i+h)
		}
	}
	emit("\tSUBS $1, R4\n\tBNE loop\n\tCBNZ R5, add")
	for _, acc := range []bool{false, true} {
		if acc {
			emit("add:")
		}
		for i := range rows {
			if acc {
				emit("\tVLD1 (R2), [V20.S4, V21.S4, V22.S4, V23.S4]")
				for h := range 4 {
					emit("\tWORD $0x%08x // FADD V%d.S4, V%d.S4, V%d.S4", fadd(4*i+h, 4*i+h, 20+h), 20+h, 4*i+h, 4*i+h)
				}
			}
			emit("\tVST1 [V%d.S4, V%d.S4, V%d.S4, V%d.S4], (R2)\n\tADD R3, R2", 4*i, 4*i+1, 4*i+2, 4*i+3)
		}
		emit("\tRET")
	}
}
