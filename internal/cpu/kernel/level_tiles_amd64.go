//go:build amd64 && !linux

package kernel

func allowTiles() bool { return false }
