//go:build !amd64

package cpu

var gemmKernel, kern8x32 = "portable", kernGo
