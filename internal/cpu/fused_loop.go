package cpu

import (
	"trmsweep/internal/cpu/kernel"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
)

// fusedLoop computes elementwise operations over values of the same dimensions, and reductions of their last axis, piece by piece: its
// program runs over one piece before it goes on to the next. A register holds a value's elements of the piece. It is a slice of a slot,
// which is the worker's memory and stays in the nearest cache, or of the value's own memory.
type fusedLoop struct {
	layout       // of all operands and results
	registers    []register
	program      []instruction
	slots        int
	slotLen      int // elements of a slot
	piecesPerRow int // pieces of a row that is longer than a slot, else 0
	rowsPerPiece int // rows of a piece if they are shorter
	pieces       int
	pool         *kernel.Pool
	workers      *workerPool
	sizes        *workerSizes
}

// register is one value of a fused loop.
type register struct {
	v       *value // nil: a temporary
	operand int    // its number in the layout; -1: a temporary
	slot    int    // -1: none
	scalar  bool   // one element for the whole loop, spread over the slot once
	perRow  bool   // one element per row: the result of a reduction
}

// instruction is one instruction of a fused loop: a load, a store, or the one function that is set.
type instruction struct {
	load, store bool
	unary       func(dst, a []float32)
	binary      func(dst, a, b []float32)
	scalar      func(dst, a []float32, s float32) // s is the scalar src[1]
	choose      func(dst, on, a, b []float32)
	reduce      func(a []float32) float32
	grad        func(dGate, dUp, dst, gate, up, dOut []float32) // writes dst, moreDst[0] and moreDst[1], in this order
	negate      bool                                            // the scalar
	round       bool                                            // the result to bfloat16
	fused       bool                                            // it computes several nodes
	dst         int                                             // a register; -1: none
	moreDst     [2]int
	src         [3]int // registers; -1: none
}

// elementwiseInstruction finds the instruction of an operation over float32, without registers; nil if fused loops do not have it.
func elementwiseInstruction(n *node) *instruction {
	fromBool := n.inputs[0].shape.DType == dtypes.Bool
	switch n.op {
	case backends.OpTypeWhere:
		if fromBool {
			return &instruction{choose: kernel.Choose}
		}
	case backends.OpTypeConvertDType:
		if n.shape.DType == dtypes.Bool && !fromBool {
			return &instruction{unary: notZero}
		}
		return &instruction{unary: same}
	case backends.OpTypeIsFinite:
		return &instruction{unary: isFinite}
	case backends.OpTypeIsNaN:
		return &instruction{unary: isNaN}
	}
	if k := vectorCompare[n.op]; k != nil {
		return &instruction{binary: k}
	}
	if k := binaryKernels[float32]()[n.op]; k != nil {
		return &instruction{binary: k}
	}
	if k := unaryKernel[float32](n.op); k != nil {
		return &instruction{unary: k}
	}
	return nil
}

func same(dst, a []float32) { copy(dst, a) }

func notZero(dst, a []float32) {
	for i, x := range a[:len(dst)] {
		dst[i] = truth[float32](x != 0)
	}
}

func isFinite(dst, a []float32) {
	for i, x := range a[:len(dst)] {
		dst[i] = truth[float32](x-x == 0)
	}
}

func isNaN(dst, a []float32) {
	for i, x := range a[:len(dst)] {
		dst[i] = truth[float32](x != x)
	}
}

// results are the registers that an instruction writes.
func (s *instruction) results() []int {
	switch {
	case s.grad != nil:
		return []int{s.dst, s.moreDst[0], s.moreDst[1]}
	case s.dst < 0:
		return nil
	}
	return []int{s.dst}
}

// operands are the registers that an instruction reads as slices: all but a scalar.
func (s *instruction) operands() []int {
	n := len(s.src)
	if s.scalar != nil {
		n = 1
	}
	for n > 0 && s.src[n-1] < 0 {
		n--
	}
	return s.src[:n]
}
