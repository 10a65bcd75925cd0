package kernel

import "golang.org/x/sys/cpu"

func detectLevels() []Level {
	if cpu.ARM64.HasASIMD {
		return []Level{Generic, NEON}
	}
	return []Level{Generic}
}

func dotPairsFast() bool { return true }

func useLevel(l Level) {
	if l == NEON {
		microTile = microTileSmall
	}
}
