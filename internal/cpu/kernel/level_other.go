//go:build !amd64 && !arm64

package kernel

func detectLevels() []Level { return []Level{Generic} }

func dotPairsFast() bool { return true }

func useLevel(Level) {}
