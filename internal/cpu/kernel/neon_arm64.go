package kernel

//go:noescape
func tileNEONx5(a, b, c *float32, ldc, kc, acc int)

//go:noescape
func tileNEONx4(a, b, c *float32, ldc, kc, acc int)

func fiveRows(a, b, c *float32, ldc, kc, acc int) { tileNEONx5(a, b, c, ldc, kc, acc) }

func fourRows(a, b, c *float32, ldc, kc, acc int) { tileNEONx4(a, b, c, ldc, kc, acc) }
