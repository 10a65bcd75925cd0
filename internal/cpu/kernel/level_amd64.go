package kernel

import "golang.org/x/sys/cpu"

// offer lists the levels of this machine. It asks the operating system for AMX's registers where the CPU has them.
func offer() []Level {
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

// dotPairsFast says whether VDPBF16PS beats float32 FMA on the widened values: on AMD it does twice the work per cycle; Intel's
// (measured: Sapphire Rapids) takes twice the cycles, for the same work, and packs more slowly.
func dotPairsFast() bool {
	b, c, d := cpuid(0)
	const genuine, inte, intel = 0x756e6547, 0x49656e69, 0x6c65746e
	return b != genuine || d != inte || c != intel
}
