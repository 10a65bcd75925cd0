package cpu

import "golang.org/x/sys/cpu"

var gemmKernel, kern8x32 = pickKernel()

func pickKernel() (string, func(kc int, a, b, c *float32, ldc int)) {
	if cpu.X86.HasAVX512F {
		return "avx512", kernAVX512
	}
	return "portable", kernGo
}

//go:noescape
func kernAVX512(kc int, a, b, c *float32, ldc int)
