package kernel

import "golang.org/x/sys/cpu"

// detectLevels lists the levels of this machine. It asks the operating system for AMX's registers if the CPU has them.
func detectLevels() []Level {
	x, levels := &cpu.X86, []Level{Generic}
	if !x.HasAVX2 || !x.HasFMA {
		return levels
	}
	levels = append(levels, AVX2)
	if !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL {
		return levels
	}
	levels = append(levels, AVX512)
	if !x.HasAVX512BF16 {
		return levels
	}
	levels = append(levels, AVX512BF16)
	if x.HasAMXTile && x.HasAMXBF16 && allowTiles() {
		levels = append(levels, AMX)
	}
	return levels
}

func cpuid(leaf uint32) (b, c, d uint32)

// dotPairsFast reports whether VDPBF16PS is faster than float32 FMA on widened values. On AMD it does twice the work per cycle. On Intel
// (measured on Sapphire Rapids) it takes twice the cycles, so it does the same work, and packing is slower.
func dotPairsFast() bool {
	b, c, d := cpuid(0)
	const genuine, inte, intel = 0x756e6547, 0x49656e69, 0x6c65746e
	return b != genuine || d != inte || c != intel
}
