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
	emit("\tMOVQ R11, CX\n\tMOVQ $1, R12\n\tSHLQ CX, R12\n\tDECQ R12\n\tKMOVW R12, K3\n\tSHRQ $16, R12\n\tKMOVW R12, K4\n\tSHLQ $2, R11\n\tMOVQ pairs+24(FP), CX")
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
