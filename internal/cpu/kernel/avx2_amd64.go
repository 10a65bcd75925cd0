package kernel

//go:noescape
func tile256x5(a, b, c *float32, ldc, kc, acc int)

//go:noescape
func tile256x4(a, b, c *float32, ldc, kc, acc int)

func fiveRows(a, b, c *float32, ldc, kc, acc int) { tile256x5(a, b, c, ldc, kc, acc) }

func fourRows(a, b, c *float32, ldc, kc, acc int) { tile256x4(a, b, c, ldc, kc, acc) }
