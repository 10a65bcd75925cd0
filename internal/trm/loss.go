package trm

import (
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
)

// qHaltWeight is the share of the q losses in the loss.
const qHaltWeight = 0.5

// A TPU has no float64: its compiler computes with pairs of float32, which have 48 bits and the range of float32. So no value of a
// loss or a gradient may leave that range. The branch of a Where that is not taken must be finite too: it is differentiated all the
// same, and its gradient is zero only as a product with zero.

// crossEntropy is the negative log probability [B, cells] in the type of target, the one-hot label.
func (c Config) crossEntropy(logits, target *Node) *Node {
	x := ConvertDType(logits, target.DType())
	var s, picked *Node
	if c.LossType == "softmax_cross_entropy" {
		x = Sub(x, StopGradient(ReduceAndKeep(x, ReduceMax, -1)))
		s = ReduceSum(Exp(x), -1)
		return Sub(Log(s), ReduceSum(Mul(x, target), -1))
	}
	one, zero := OnesLike(x), ZerosLike(x)
	negative := LessThan(x, zero)
	below := Where(negative, x, zero) // 1/(1-x) has a pole at 1; the reference's 1e-30 beside it is lost in 1-x >= 1
	s = Where(negative, Div(one, Sub(one, below)), Add(x, one))
	picked = ReduceSum(Mul(s, target), -1)
	return Neg(Log(Div(picked, ReduceSum(s, -1)))) // the reference's order: it rounds where a probability is nearly one
}

// bce is the binary cross-entropy of logits x against targets t, each, in the type of t.
func bce(x, t *Node) *Node {
	x, t = ConvertDType(x, t.DType()), StopGradient(t)
	up := GreaterThan(x, ZerosLike(x))
	soft := Log1p(Exp(Where(up, Neg(x), x))) // not Abs: its gradient at 0 would be lost
	positive := Where(up, x, ZerosLike(x))
	return Add(Sub(positive, Mul(x, t)), soft)
}

// argMax is the first of the largest along the last axis. XLA's ArgMax of GoMLX takes no bfloat16.
func argMax(logits *Node) *Node {
	return ArgMax(ConvertDType(logits, dtypes.Float32), -1, dtypes.Int32)
}

// losses are sums over the batch: the loss, and the metrics in the order of the fields of Metrics.
type losses struct {
	total   *Node   // scalar float64
	metrics []*Node // scalars float64
	preds   *Node
}

// lossHead follows the reference's ACTLossHead: metrics count only rows that
// halted in this step and have labels; a row without labels is "right".
func (c Config) lossHead(logits, labels, qHalt, qContinue, targetQ, halted, steps *Node) losses {
	b := logits.Shape().Dimensions[0]
	f64 := func(n *Node) *Node { return ConvertDType(n, dtypes.Float64) }
	labels = ConvertDType(labels, dtypes.Int32)
	preds := argMax(logits)
	mask := NotEqual(labels, ZerosLike(labels))
	right := f64(LogicalAnd(mask, Equal(preds, labels)))
	count := ReduceSum(f64(mask), -1)
	divisor := Max(count, OnesLike(count))
	rowRight := Equal(ReduceSum(right, -1), count)
	valid := LogicalAnd(halted, GreaterThan(count, ZerosLike(count)))

	target := Reshape(oneHot(labels, c.VocabSize, dtypes.Float64), b, c.SeqLen, c.VocabSize)
	perCell := c.crossEntropy(logits, target)
	perCell = Where(mask, perCell, ZerosLike(perCell))
	lm := ReduceAllSum(Div(ReduceSum(perCell, -1), divisor))
	qh := ReduceAllSum(bce(qHalt, f64(rowRight)))
	q := qh
	qc := ScalarZero(logits.Graph(), dtypes.Float64)
	if targetQ != nil {
		qc = ReduceAllSum(bce(qContinue, f64(targetQ)))
		q = Add(qh, qc)
	}
	total := Add(lm, MulScalar(q, qHaltWeight))
	v := f64(valid)
	sum := func(n *Node) *Node { return ReduceAllSum(Where(valid, f64(n), ZerosLike(v))) }
	qRight := Equal(f64(GreaterOrEqual(qHalt, ZerosLike(qHalt))), f64(rowRight)) // backends may lack Equal of booleans
	return losses{total: total, preds: preds, metrics: []*Node{total, lm, qh, qc, ReduceAllSum(v),
		sum(Div(ReduceSum(right, -1), divisor)), sum(rowRight), sum(qRight), sum(steps)}}
}

// numMetrics is the length of the metrics' array.
const numMetrics = 9
