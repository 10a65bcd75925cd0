package main

// dpbf16 writes VDPBF16PS a, b, dst, which Go's assembler lacks: dst += a.even*b.even + a.odd*b.odd (EVEX.512.F3.0F38.W0 52 /r).
func dpbf16(a, b, dst int) {
	inv := func(v, bit int) int { return 1 &^ (v >> bit) }
	p0 := inv(dst, 3)<<7 | inv(a, 4)<<6 | inv(a, 3)<<5 | inv(dst, 4)<<4 | 2
	p1 := (^b&15)<<3 | 4 | 2
	p2 := 2<<5 | inv(b, 4)<<3
	emit("\tBYTE $0x62; BYTE $0x%02x; BYTE $0x%02x; BYTE $0x%02x; BYTE $0x52; BYTE $0x%02x", p0, p1, p2, 0xc0|dst&7<<3|a&7)
}

// packPairs packs bfloat16 lanes that lie side by side: two steps of k in each 32-bit lane.
func packPairs() {
	emit("\nTEXT ·packPairs512(SB), NOSPLIT, $0-48\n\tMOVQ dst+0(FP), R8\n\tMOVQ src+8(FP), R9\n\tMOVQ step+16(FP), R10\n\tSHLQ $1, R10")
	emit("\tMOVQ width+40(FP), R11\n\tMOVQ lanes+32(FP), CX")
	emit("\tMOVQ $1, R12\n\tSHLQ CX, R12\n\tDECQ R12\n\tKMOVW R12, K1\n\tSHRQ $16, R12\n\tKMOVW R12, K2")
	emit("\tMOVQ R11, CX\n\tMOVQ $1, R12\n\tSHLQ CX, R12\n\tDECQ R12\n\tKMOVW R12, K3\n\tSHRQ $16, R12\n" +
		"\tKMOVW R12, K4\n\tSHLQ $2, R11\n\tMOVQ pairs+24(FP), CX")
	load := func(regs int) {
		for half := range 2 {
			for i := range regs {
				emit("\tVPMOVZXWD.Z %d(R9), K%d, Z%d", 32*i, i+1, 2*half+i)
			}
			emit("\tADDQ R10, R9")
		}
		for i := range regs {
			emit("\tVPSLLD $16, Z%d, Z%d\n\tVPORD Z%d, Z%d, Z%d", 2+i, 2+i, 2+i, i, i)
		}
	}
	emit("\tCMPQ width+40(FP), $16\n\tJLE narrow\nloop:")
	load(2)
	emit("\tVMOVUPS Z0, (R8)\n\tVMOVUPS Z1, K4, 64(R8)\n\tADDQ R11, R8\n\tDECQ CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")
	emit("narrow:\n\tDECQ CX\n\tJZ last\nnarrowLoop:") // as in packCopy
	load(1)
	emit("\tVMOVUPS Z0, (R8)\n\tADDQ R11, R8\n\tDECQ CX\n\tJNZ narrowLoop\nlast:")
	load(1)
	emit("\tVMOVUPS Z0, K3, (R8)\n\tVZEROUPPER\n\tRET")
}

// maskOf sets K1 and K2 to the lanes in CX, of two registers.
func maskOf(k1, k2 string) {
	emit("\tMOVQ $1, R12\n\tSHLQ CX, R12\n\tDECQ R12\n\tKMOVW R12, %s\n\tSHRQ $16, R12\n\tKMOVW R12, %s", k1, k2)
}

// packWiden packs bfloat16 lanes that lie side by side as float32.
func packWiden() {
	emit("\nTEXT ·packWiden512(SB), NOSPLIT, $0-48\n\tMOVQ dst+0(FP), R8\n\tMOVQ src+8(FP), R9\n" +
		"\tMOVQ step+16(FP), R10\n\tSHLQ $1, R10\n\tMOVQ lanes+32(FP), CX")
	maskOf("K1", "K2")
	emit("\tMOVQ width+40(FP), CX\n\tMOVQ CX, R11")
	maskOf("K3", "K4")
	emit("\tSHLQ $2, R11\n\tMOVQ kc+24(FP), CX")
	emit("loop:\n\tVPMOVZXWD.Z (R9), K1, Z0\n\tVPMOVZXWD.Z 32(R9), K2, Z1\n\tVPSLLD $16, Z0, Z0\n\tVPSLLD $16, Z1, Z1")
	emit("\tVMOVUPS Z0, K3, (R8)\n\tVMOVUPS Z1, K4, 64(R8)\n\tADDQ R10, R9\n\tADDQ R11, R8\n\tDECQ CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")
}

// splitPairs makes of every row of pairs two of float32, from the last row on, in the same memory.
func splitPairs() {
	emit("\nTEXT ·splitPairs512(SB), NOSPLIT, $0-24\n\tMOVQ dst+0(FP), R8\n\tMOVQ width+16(FP), CX\n\tMOVQ CX, R11\n\tSHLQ $2, R11")
	maskOf("K1", "K2")
	word("upper", 0xffff0000)
	broadcast("upper", 16)
	emit("\tMOVQ pairs+8(FP), CX\n\tMOVQ CX, R9\n\tDECQ R9\n\tIMULQ R11, R9\n\tLEAQ (R8)(R9*2), R10\n" +
		"\tADDQ R8, R9") // row of pairs; row it becomes
	emit("loop:\n\tVMOVUPS.Z (R9), K1, Z0\n\tVMOVUPS.Z 64(R9), K2, Z1\n\tVPSLLD $16, Z0, Z2\n" +
		"\tVPSLLD $16, Z1, Z3\n\tVPANDD Z16, Z0, Z0\n\tVPANDD Z16, Z1, Z1")
	emit("\tLEAQ (R10)(R11*1), AX\n\tVMOVUPS Z2, K1, (R10)\n\tVMOVUPS Z3, K2, 64(R10)\n\tVMOVUPS Z0, K1, (AX)\n\tVMOVUPS Z1, K2, 64(AX)")
	emit("\tSUBQ R11, R9\n\tSUBQ R11, R10\n\tSUBQ R11, R10\n\tDECQ CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")
}
