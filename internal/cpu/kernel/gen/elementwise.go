package main

import "fmt"

var order []string

func constant(name string, v float32) {
	if _, ok := consts[name]; !ok {
		consts[name] = v
		order = append(order, name)
	}
}

func word(name string, v uint32) {
	constant(name, 0)
	bits[name] = v
}

// loop writes a function over n elements: the pointers are its first arguments (last one n), scalars are broadcast into Z15
// downwards by name; body works on Z0.. loaded from ins and leaves results in the registers of outs.
func loop(name string, ptrs []string, scalars []string, ins map[string]int, outs map[string]int, prologue, body func()) {
	size := 8*len(ptrs) + 8 + 4*len(scalars)
	emit("\nTEXT ·%s(SB), NOSPLIT, $0-%d", name, size)
	reg := map[string]string{}
	for i, p := range ptrs {
		reg[p] = fmt.Sprintf("R%d", 8+i)
		emit("\tMOVQ %s+%d(FP), R%d", p, 8*i, 8+i)
	}
	emit("\tMOVQ n+%d(FP), CX", 8*len(ptrs))
	for i, s := range scalars {
		emit("\tVBROADCASTSS %s+%d(FP), Z%d", s, 8*len(ptrs)+8+4*i, 15-i)
	}
	if prologue != nil {
		prologue()
	}
	emit("\tSUBQ $16, CX\n\tJL tail\nloop:")
	for _, p := range ptrs {
		if z, ok := ins[p]; ok {
			emit("\tVMOVUPS (%s), Z%d", reg[p], z)
		}
	}
	body()
	for _, p := range ptrs {
		if z, ok := outs[p]; ok {
			emit("\tVMOVUPS Z%d, (%s)", z, reg[p])
		}
	}
	for _, p := range ptrs {
		emit("\tADDQ $64, %s", reg[p])
	}
	emit("\tSUBQ $16, CX\n\tJGE loop\ntail:\n\tADDQ $16, CX\n\tJZ done\n\tMOVQ $1, AX\n\tSHLQ CX, AX\n\tDECQ AX\n\tKMOVW AX, K1")
	for _, p := range ptrs {
		if z, ok := ins[p]; ok {
			emit("\tVMOVUPS.Z (%s), K1, Z%d", reg[p], z)
		}
	}
	body()
	for _, p := range ptrs {
		if z, ok := outs[p]; ok {
			emit("\tVMOVUPS Z%d, K1, (%s)", z, reg[p])
		}
	}
	emit("done:\n\tVZEROUPPER\n\tRET")
}

func broadcast(name string, z int) { emit("\tVBROADCASTSS k_%s<>(SB), Z%d", name, z) }

func loadExp() {
	constant("log2e", 1.4426950408889634)
	word("ln2hi", 0x3f317200) // 0.693145751953125
	constant("ln2lo", 1.4286068203094172e-06)
	constant("low", -104)
	constant("high", 89)
	f := float32(1)
	for i := 1; i <= 7; i++ {
		f *= float32(i)
		constant(fmt.Sprintf("inv%d", i), 1/f)
	}
	word("sign", 0x80000000)
	broadcast("log2e", 16)
	broadcast("ln2hi", 17)
	broadcast("ln2lo", 18)
	broadcast("low", 19)
	broadcast("high", 20)
	for i := 1; i <= 7; i++ {
		broadcast(fmt.Sprintf("inv%d", i), 20+i)
	}
	broadcast("sign", 28)
}

// exp writes z = e^z, with scratch registers t, u: e^z = 2^n * e^r, |r| <= ln2/2, Taylor to the seventh power.
func exp(z, t, u int) {
	emit("\tVMINPS Z%d, Z20, Z%d\n\tVMAXPS Z%d, Z19, Z%d", z, z, z, z)
	emit("\tVMULPS Z16, Z%d, Z%d\n\tVRNDSCALEPS $0, Z%d, Z%d", z, t, t, t)
	emit("\tVFNMADD231PS Z17, Z%d, Z%d\n\tVFNMADD231PS Z18, Z%d, Z%d", t, z, t, z)
	emit("\tVMOVAPS Z27, Z%d", u)
	for i := 26; i >= 21; i-- {
		emit("\tVFMADD213PS Z%d, Z%d, Z%d", i, z, u)
	}
	emit("\tVFMADD213PS Z21, Z%d, Z%d\n\tVSCALEFPS Z%d, Z%d, Z%d", z, u, t, u, z)
}

// sigmoid writes t = 1+e^-z, the reciprocal of the sigmoid of z.
func sigmoidDenominator(z, t, u, v int) {
	emit("\tVPXORD Z28, Z%d, Z%d", z, t)
	exp(t, u, v)
	emit("\tVADDPS Z21, Z%d, Z%d", t, t)
}

func elementwise() {
	dab := []string{"dst", "a", "b"}
	da := []string{"dst", "a"}
	for _, op := range []string{"ADD", "SUB", "MUL", "DIV"} {
		loop("v"+op+"512", dab, nil, map[string]int{"a": 0, "b": 1}, map[string]int{"dst": 0}, nil, func() { emit("\tV%sPS Z1, Z0, Z0", op) })
	}
	for _, op := range []string{"MAX", "MIN"} {
		loop("v"+op+"512", dab, nil, map[string]int{"a": 0, "b": 1}, map[string]int{"dst": 2}, nil, func() {
			emit("\tVRANGEPS $%d, Z1, Z0, Z2\n\tVCMPPS $3, Z1, Z0, K2\n\tVADDPS Z1, Z0, K2, Z2", map[string]int{"MIN": 4, "MAX": 5}[op])
		})
	}
	one := map[string]int{"a": 0}
	res := map[string]int{"dst": 0}
	loop("addScalar512", da, []string{"s"}, one, res, nil, func() { emit("\tVADDPS Z15, Z0, Z0") })
	loop("scale512", da, []string{"s"}, one, res, nil, func() { emit("\tVMULPS Z15, Z0, Z0") })
	word("sign", 0x80000000)
	word("abs", 0x7fffffff)
	loop("neg512", da, nil, one, res, func() { broadcast("sign", 16) }, func() { emit("\tVPXORD Z16, Z0, Z0") })
	loop("abs512", da, nil, one, res, func() { broadcast("abs", 16) }, func() { emit("\tVPANDD Z16, Z0, Z0") })
	loop("sqrt512", da, nil, one, res, nil, func() { emit("\tVSQRTPS Z0, Z0") })
	loop("exp512", da, nil, one, res, loadExp, func() { exp(0, 1, 2) })
	loop("sigmoid512", da, nil, one, res, loadExp, func() { sigmoidDenominator(0, 1, 2, 3); emit("\tVDIVPS Z1, Z21, Z0") })
	loop("swiGLU512", []string{"dst", "gate", "up"}, nil, map[string]int{"gate": 0, "up": 4}, res, loadExp, func() {
		sigmoidDenominator(0, 1, 2, 3)
		emit("\tVDIVPS Z1, Z0, Z0\n\tVMULPS Z4, Z0, Z0")
	})
	loop("swiGLUGrad512", []string{"dGate", "dUp", "dst", "gate", "up", "dOut"}, nil, map[string]int{"gate": 0, "up": 4, "dOut": 5},
		map[string]int{"dGate": 6, "dUp": 7, "dst": 8}, loadExp, func() {
			sigmoidDenominator(0, 1, 2, 3)
			emit("\tVDIVPS Z1, Z21, Z1")      // s
			emit("\tVSUBPS Z1, Z21, Z2")      // 1-s
			emit("\tVFMADD213PS Z21, Z0, Z2") // 1+g(1-s)
			emit("\tVMULPS Z1, Z2, Z2")       // s(1+g(1-s))
			emit("\tVMULPS Z4, Z5, Z6\n\tVMULPS Z2, Z6, Z6")
			emit("\tVMULPS Z1, Z0, Z7\n\tVMULPS Z4, Z7, Z8\n\tVMULPS Z5, Z7, Z7")
		})
	constant("inv1", 1)
	for _, p := range []struct {
		name string
		imm  int
	}{{"EQ", 0}, {"NEQ", 4}, {"LT", 0x11}, {"LE", 0x12}, {"GT", 0x1e}, {"GE", 0x1d}} {
		loop("cmp"+p.name+"512", dab, nil, map[string]int{"a": 0, "b": 1}, res, func() { broadcast("inv1", 16) },
			func() { emit("\tVCMPPS $%d, Z1, Z0, K2\n\tVMOVAPS.Z Z16, K2, Z0", p.imm) })
	}
	loop("choose512", []string{"dst", "on", "a", "b"}, nil, map[string]int{"on": 0, "a": 1, "b": 2}, map[string]int{"dst": 2},
		func() { emit("\tVPXORQ Z16, Z16, Z16") }, func() { emit("\tVCMPPS $4, Z16, Z0, K2\n\tVMOVAPS Z1, K2, Z2") })
	loop("fill512", []string{"dst"}, []string{"s"}, nil, map[string]int{"dst": 15}, nil, func() {})
	word("one", 1)
	word("half", 0x7fff)
	word("quiet", 0x40)
	loop("roundBF16x512", da, nil, one, res, func() {
		broadcast("one", 16)
		broadcast("half", 17)
		broadcast("quiet", 18)
	}, func() {
		emit("\tVPSRLD $16, Z0, Z1\n\tVPANDD Z16, Z1, Z2\n\tVPADDD Z17, Z2, Z2\n\tVPADDD Z0, Z2, Z2\n\tVPSRLD $16, Z2, Z2")
		emit("\tVCMPPS $3, Z0, Z0, K2\n\tVPORD Z18, Z1, K2, Z2\n\tVPSLLD $16, Z2, Z0")
	})
	reduction("sum512", []string{"a"}, func() { emit("\tVADDPS Z0, Z15, Z15") })
	bfloat()
}

// reduction leaves 16 partial sums in *lanes, the last argument.
func reduction(name string, ptrs []string, body func()) {
	n := len(ptrs)
	loop(name, append(ptrs, "lanes"), nil, map[string]int{"a": 0, "b": 1}, nil, func() {
		emit("\tVPXORQ Z15, Z15, Z15\n\tMOVQ lanes+%d(FP), DI", 8*n)
	}, body)
	s := out.String()
	const end = "done:\n\tVZEROUPPER\n\tRET\n"
	out.Truncate(len(s) - len(end))
	emit("done:\n\tVMOVUPS Z15, (DI)\n\tVZEROUPPER\n\tRET")
}

func bfloat() {
	word("one", 1)
	word("half", 0x7fff)
	word("quiet", 0x40)
	for _, to := range []bool{true, false} {
		name := map[bool]string{true: "toBF16x512", false: "fromBF16x512"}[to]
		emit("\nTEXT ·%s(SB), NOSPLIT, $0-24\n\tMOVQ dst+0(FP), R8\n\tMOVQ a+8(FP), R9\n\tMOVQ n+16(FP), CX", name)
		broadcast("one", 16)
		broadcast("half", 17)
		broadcast("quiet", 18)
		emit("\tKXNORW K1, K1, K1\n\tSUBQ $16, CX\n\tJL tail\nloop:")
		if to {
			emit("\tVMOVUPS.Z (R9), K1, Z0\n\tVPSRLD $16, Z0, Z1\n\tVPANDD Z16, Z1, Z2\n\tVPADDD Z17, Z2, Z2\n" +
				"\tVPADDD Z0, Z2, Z2\n\tVPSRLD $16, Z2, Z2")
			emit("\tVCMPPS $3, Z0, Z0, K2\n\tVPORD Z18, Z1, K2, Z2\n\tVPMOVDW Z2, K1, (R8)\n\tADDQ $32, R8\n\tADDQ $64, R9")
		} else {
			emit("\tVPMOVZXWD.Z (R9), K1, Z0\n\tVPSLLD $16, Z0, Z0\n\tVMOVUPS Z0, K1, (R8)\n\tADDQ $64, R8\n\tADDQ $32, R9")
		}
		emit("\tSUBQ $16, CX\n\tJGE loop\ntail:\n\tADDQ $16, CX\n\tJLE done\n\tMOVQ $1, AX\n\tSHLQ CX, AX\n" +
			"\tDECQ AX\n\tKMOVW AX, K1\n\tXORQ CX, CX\n\tJMP loop\ndone:\n\tVZEROUPPER\n\tRET")
	}
}
