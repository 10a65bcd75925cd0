package trm

import (
	"math"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
)

// atan2 is the angle of (y, x) for x >= 0, float32 within 4 ulp; atan2(0, 0) = 0.
func atan2(y, x *Node) *Node {
	a := Abs(y)
	zero, one := ZerosLike(a), OnesLike(a)
	big := Max(a, x)
	t := Div(Min(a, x), Where(GreaterThan(big, zero), big, one))
	far := GreaterThan(t, MulScalar(one, math.Sqrt2-1))
	u := Where(far, Div(Sub(t, one), Add(t, one)), t)
	z := Mul(u, u)
	poly := MulScalar(z, 8.05374449538e-2)
	for _, k := range []float64{-1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1} {
		poly = Mul(AddScalar(poly, k), z)
	}
	r := Add(u, Mul(poly, u))
	r = Where(far, AddScalar(r, math.Pi/4), r)
	r = Where(GreaterThan(a, x), Sub(MulScalar(one, math.Pi/2), r), r)
	return Where(LessThan(y, zero), Neg(r), r)
}

// adamATan2 is the update of the published package: the first moment is not bias-corrected inside atan2. rate = lr/(1-beta1^t),
// root2 = sqrt(1-beta2^t) and keep = 1-lr*wd are scalars.
func adamATan2(p, m, v, g, keep, rate, root2 *Node, beta1, beta2 float64) (p2, m2, v2 *Node) {
	wide := func(s *Node) *Node { return BroadcastToDims(s, p.Shape().Dimensions...) }
	m2 = Add(m, MulScalar(Sub(g, m), 1-beta1))
	v2 = Add(v, MulScalar(Sub(Mul(g, g), v), 1-beta2))
	p2 = Sub(Mul(p, wide(keep)), Mul(wide(rate), atan2(m2, Div(Sqrt(v2), wide(root2)))))
	return p2, m2, v2
}

// signSGD sums the rows' gradients per id and moves the ids that occur.
func signSGD(p, ids, g, keep, lr *Node) *Node {
	hot := oneHot(ids, p.Shape().Dimensions[0], p.DType())
	sum := DotGeneral(hot, []int{0}, nil, g, []int{0}, nil)
	return signStep(p, sum, keep, lr, func() *Node { return ReduceSum(hot, 0) })
}

// sumPerID sums the rows' gradients g per id, of n ids, and counts how often each id occurs.
func sumPerID(ids, g *Node, n int) (sum, count *Node) {
	hot := oneHot(ids, n, g.DType())
	return DotGeneral(hot, []int{0}, nil, g, []int{0}, nil), ReduceSum(hot, 0)
}

// signStep moves the ids whose count is not zero, also if the sum of their gradients is: p = p*keep - lr*sign(sum). The count comes last
// in the program's text, which names what was compiled of it.
func signStep(p, sum, keep, lr *Node, count func() *Node) *Node {
	wide := func(s *Node) *Node { return BroadcastToDims(s, p.Shape().Dimensions...) }
	one := OnesLike(sum)
	zero := ZerosLike(sum)
	sign := Where(GreaterThan(sum, zero), one, Where(LessThan(sum, zero), Neg(one), zero))
	moved := Sub(Mul(p, wide(keep)), Mul(wide(lr), sign))
	seen := Reshape(count(), p.Shape().Dimensions[0], 1)
	return Where(GreaterThan(BroadcastToDims(seen, p.Shape().Dimensions...), zero), moved, p)
}
