package main

import (
	"cmp"
	"fmt"
)

// Go's assembler lacks AMX and VCVTNE2PS2BF16, so the functions of this file write the bytes of these instructions.

// regNumber numbers the registers as the processor does.
var regNumber = map[string]int{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SI": 6, "DI": 7,
	"R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}

// raw emits bytes.
func raw(b ...int) {
	s := "\t"
	for i, x := range b {
		if i > 0 {
			s += "; "
		}
		s += fmt.Sprintf("BYTE $0x%02x", x)
	}
	emit("%s", s)
}

// vex writes a VEX.128.0F38.W0 prefix and the opcode; prefix is 0 (none), 2 (F3) or 3 (F2).
func vex(prefix, op, r, x, b, v int) {
	inv := func(n int) int { return 1 &^ (n >> 3) }
	raw(0xc4, inv(r)<<7|inv(x)<<6|inv(b)<<5|2, (^v&15)<<3|prefix, op)
}

// tileMemory writes TILELOADD (prefix 3) or TILESTORED (prefix 2): rows lie index bytes apart from base+disp.
func tileMemory(prefix, tile int, base, index string, disp int) {
	b, i := regNumber[base], regNumber[index]
	vex(prefix, 0x4b, tile, i, b, 0)
	raw(0x84|tile<<3, (i&7)<<3|b&7, disp&255, disp>>8&255, disp>>16&255, disp>>24&255)
}

func tileLoad(tile int, base, index string, disp int)  { tileMemory(3, tile, base, index, disp) }
func tileStore(tile int, base, index string, disp int) { tileMemory(2, tile, base, index, disp) }

func tileZero(tile int) {
	vex(3, 0x49, 0, 0, 0, 0)
	raw(0xc0 | tile<<3)
}

// tileDot writes TDPBF16PS: c += a·b.
func tileDot(c, a, b int) {
	vex(2, 0x5c, 0, 0, 0, b)
	raw(0xc0 | c<<3 | a)
}

func tileRelease() {
	vex(0, 0x49, 0, 0, 0, 0)
	raw(0xc0)
}

// tileConfig writes LDTILECFG (base).
func tileConfig(base string) {
	b := regNumber[base]
	vex(0, 0x49, 0, 0, b, 0)
	raw(b & 7)
}

// narrowPair writes VCVTNE2PS2BF16: dst = bfloat16 of low, then of high.
func narrowPair(low, high, dst int) {
	inv := func(v, bit int) int { return 1 &^ (v >> bit) }
	raw(0x62, inv(dst, 3)<<7|inv(low, 4)<<6|inv(low, 3)<<5|inv(dst, 4)<<4|2, (^high&15)<<3|4|3,
		2<<5|inv(high, 4)<<3, 0x72, 0xc0|dst&7<<3|low&7)
}

// tileRegisters are the tile registers of a step of 32×32 results.
const (
	accumulators = 0 // four, row by row
	leftTiles    = 4
	rightTiles   = 6
)

// amxBlock writes the product of packed panels of 16 rows of A and 32 columns of B; every chunk of 32 k is one multiplication of tiles.
// The 32×32 results of a step go through edge (4 KB), from where they are added to C, stored there or stored as bfloat16.
func amxBlock() {
	emit("")
	// Word 0 is the palette, words 2 and 3 are the bytes of each row, word 6 the rows.
	for i, x := range []string{0: "1", 2: "0x0040004000400040", 3: "0x0040004000400040", 6: "0x1010101010101010", 7: ""} {
		emit("DATA tileShapes<>+%d(SB)/8, $%s", 8*i, cmp.Or(x, "0"))
	}
	emit("GLOBL tileShapes<>(SB), RODATA|NOPTR, $64")
	emit("\nTEXT ·amxBlock(SB), NOSPLIT, $16-96")
	emit("\tLEAQ tileShapes<>(SB), AX")
	tileConfig("AX")
	emit("\tMOVQ $64, SI\n\tMOVQ $128, DI")
	emit("\tMOVQ chunks+40(FP), AX\n\tSHLQ $10, AX\n\tMOVQ AX, panel-8(SP)") // bytes of a panel of A; one of B has twice as many
	emit("\tMOVQ b+8(FP), R9\n\tMOVQ c+16(FP), R10\n\tMOVQ c16+24(FP), R11")
	emit("columns:\n\tMOVQ n+64(FP), CX\n\tMOVQ $32, AX\n\tCMPQ CX, AX\n\tCMOVQGT AX, CX\n\tMOVQ $1, AX\n" +
		"\tSHLQ CX, AX\n\tDECQ AX\n\tKMOVD AX, K3\n\tKMOVW AX, K1\n\tSHRQ $16, AX\n\tKMOVW AX, K2")
	emit("\tMOVQ a+0(FP), R8\n\tMOVQ m+56(FP), R13\n\tMOVQ R10, DX\n\tMOVQ R11, BX")
	emit("rows:\n\tMOVQ chunks+40(FP), CX\n\tMOVQ R9, R14\n\tMOVQ R8, R12\n\tADDQ panel-8(SP), R12") // R8, R12: two panels of A
	emit("\tCMPQ R13, $16\n\tJLE oneRow\n\tCMPQ n+64(FP), $16\n\tJLE step2x1")
	step := func(rows, cols int) {
		emit("step%dx%d:", rows, cols)
		for r := range rows {
			for c := range cols {
				tileZero(accumulators + 2*r + c)
			}
		}
		emit("k%dx%d:", rows, cols)
		for c := range cols {
			tileLoad(rightTiles+c, "R14", "DI", 64*c)
		}
		for r := range rows {
			tileLoad(leftTiles+r, []string{"R8", "R12"}[r], "SI", 0)
			for c := range cols {
				tileDot(accumulators+2*r+c, leftTiles+r, rightTiles+c)
			}
		}
		emit("\tADDQ $1024, R8\n\tADDQ $1024, R12\n\tADDQ $2048, R14\n\tDECQ CX\n\tJNZ k%dx%d", rows, cols)
		emit("\tMOVQ edge+32(FP), R14")
		for r := range rows {
			for c := range cols {
				tileStore(accumulators+2*r+c, "R14", "DI", 2048*r+64*c)
			}
		}
		if rows == 2 {
			emit("\tMOVQ R12, R8")
		}
		emit("\tJMP finish")
	}
	step(2, 2)
	step(2, 1)
	emit("oneRow:\n\tCMPQ n+64(FP), $16\n\tJLE step1x1")
	step(1, 2)
	step(1, 1)
	emit("finish:\n\tMOVQ $32, CX\n\tCMPQ R13, CX\n\tCMOVQLT R13, CX\n\tMOVQ ldc+48(FP), AX\n\tCMPQ to16+80(FP), $0\n\tJNE narrow")
	results := func(label string, narrow, add bool) {
		emit("%s:\n\tVMOVUPS (R14), Z0\n\tVMOVUPS 64(R14), Z1", label)
		if add {
			emit("\tVMOVUPS.Z (DX), K1, Z2\n\tVMOVUPS.Z 64(DX), K2, Z3\n\tVADDPS Z2, Z0, Z0\n\tVADDPS Z3, Z1, Z1")
		}
		if narrow {
			narrowPair(0, 1, 0)
			emit("\tVMOVDQU16 Z0, K3, (BX)\n\tADDQ ldc16+88(FP), BX")
		} else {
			emit("\tVMOVUPS Z0, K1, (DX)\n\tVMOVUPS Z1, K2, 64(DX)")
		}
		emit("\tADDQ AX, DX\n\tADDQ $128, R14\n\tDECQ CX\n\tJNZ %s\n\tJMP next", label)
	}
	emit("\tCMPQ acc+72(FP), $0\n\tJNE add")
	results("store", false, false)
	results("add", false, true)
	emit("narrow:\n\tCMPQ acc+72(FP), $0\n\tJNE addNarrow")
	results("storeNarrow", true, false)
	results("addNarrow", true, true)
	emit("next:\n\tSUBQ $32, R13\n\tJG rows")
	emit("\tMOVQ panel-8(SP), AX\n\tLEAQ (R9)(AX*2), R9\n\tADDQ $128, R10\n\tADDQ $64, R11\n\tSUBQ $32, n+64(FP)\n\tJG columns")
	tileRelease()
	emit("\tVZEROUPPER\n\tRET")
}

// packTileRows copies rows of k that lie side by side into tiles of 16 rows and 32 k; what is missing of the last chunk is zero.
func packTileRows() {
	emit("\nTEXT ·packTileRows(SB), NOSPLIT, $0-40\n\tMOVQ dst+0(FP), R8\n\tMOVQ src+8(FP), R9\n" +
		"\tMOVQ stride+16(FP), R10\n\tMOVQ rows+24(FP), R13\n\tMOVQ kc+32(FP), R14")
	emit("\tMOVQ R14, R11\n\tSHRQ $5, R11\n\tMOVQ R14, CX\n\tANDQ $31, CX\n\tMOVQ $1, AX\n\tSHLQ CX, AX\n" +
		"\tDECQ AX\n\tKMOVD AX, K1\n\tMOVQ CX, DX")
	emit("row:\n\tMOVQ R8, DI\n\tMOVQ R9, SI\n\tMOVQ R11, CX\n\tTESTQ CX, CX\n\tJZ tail\nchunk:\n" +
		"\tVMOVDQU16 (SI), Z0\n\tVMOVDQU16 Z0, (DI)\n\tADDQ $64, SI\n\tADDQ $1024, DI\n\tDECQ CX\n\tJNZ chunk")
	emit("tail:\n\tTESTQ DX, DX\n\tJZ next\n\tVMOVDQU16.Z (SI), K1, Z0\n\tVMOVDQU16 Z0, (DI)")
	emit("next:\n\tADDQ $64, R8\n\tADDQ R10, R9\n\tDECQ R13\n\tJNZ row\n\tVZEROUPPER\n\tRET")
}

// packTileColumns writes whole tiles of 16 rows and 32 k from rows that lie side by side, steps of k stride bytes apart: transposes of 8×8
// words within the four lanes of a register, lane j holding k from 8j.
func packTileColumns() {
	emit("\nTEXT ·packTileColumns(SB), NOSPLIT, $0-32\n\tMOVQ dst+0(FP), R8\n\tMOVQ src+8(FP), R9\n" +
		"\tMOVQ stride+16(FP), R10\n\tMOVQ chunks+24(FP), CX")
	for i, m := range []int{0x00f0, 0x0f00, 0xf000} {
		emit("\tMOVQ $%d, AX\n\tKMOVW AX, K%d", m, i+1)
	}
	emit("\tLEAQ (R10)(R10*2), R11\n\tLEAQ (R10)(R10*4), R12\n\tLEAQ (R11)(R10*4), R13") // 3, 5 and 7 steps
	emit("chunk:\n\tLEAQ (R9)(R10*8), AX\n\tLEAQ (AX)(R10*8), BX\n\tLEAQ (BX)(R10*8), DX")
	at := []string{"", "(R10*1)", "(R10*2)", "(R11*1)", "(R10*4)", "(R12*1)", "(R11*2)", "(R13*1)"}
	for half := range 2 {
		for r := range 8 {
			emit("\tVBROADCASTI32X4 %d(R9)%s, Z%d", 16*half, at[r], r)
			for j, p := range []string{"AX", "BX", "DX"} {
				emit("\tVBROADCASTI32X4 %d(%s)%s, K%d, Z%d", 16*half, p, at[r], j+1, r)
			}
		}
		transposeWords()
		for m := range 8 {
			emit("\tVMOVDQU16 Z%d, %d(R8)", 8+m, 512*half+64*m)
		}
	}
	emit("\tLEAQ (DX)(R10*8), R9\n\tADDQ $1024, R8\n\tDECQ CX\n\tJNZ chunk\n\tVZEROUPPER\n\tRET")
}

// transposeWords transposes the 8×8 words of Z0 to Z7 in each lane to Z8 to Z15.
func transposeWords() {
	for i := range 4 { // words of rows 2i and 2i+1 side by side
		emit("\tVPUNPCKLWD Z%d, Z%d, Z%d\n\tVPUNPCKHWD Z%d, Z%d, Z%d", 2*i+1, 2*i, 8+2*i, 2*i+1, 2*i, 9+2*i)
	}
	for i := range 2 { // of four rows
		for h := range 2 {
			a, b := 8+4*i+h, 10+4*i+h
			emit("\tVPUNPCKLDQ Z%d, Z%d, Z%d\n\tVPUNPCKHDQ Z%d, Z%d, Z%d", b, a, 4*i+2*h, b, a, 4*i+2*h+1)
		}
	}
	for i := range 4 { // of all eight
		emit("\tVPUNPCKLQDQ Z%d, Z%d, Z%d\n\tVPUNPCKHQDQ Z%d, Z%d, Z%d", 4+i, i, 8+2*i, 4+i, i, 9+2*i)
	}
}
