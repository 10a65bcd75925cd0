package kernel

import "testing"

func TestPoolNestedCallsRunInline(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	counts := make([]int, 100)
	p.Run(10, 1, Func(func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p.Run(10, 3, Func(func(a, b int) {
				for j := a; j < b; j++ {
					counts[i*10+j]++
				}
			}))
		}
	}))
	for i, c := range counts {
		if c != 1 {
			t.Fatalf("index %d ran %d times, want once", i, c)
		}
	}
}
