package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// swiGLU is a SwiGLU, gate*sigmoid(gate)*up, or the gradient of one, among the nodes of a fused loop. One kernel computes all of it.
type swiGLU struct {
	gate, up, dOut     *node // dOut is nil if there is no gradient
	result, dGate, dUp *node // of a gradient any may be nil
}

// operands are in the kernels' order.
func (q *swiGLU) operands() []*node {
	if q.dOut == nil {
		return []*node{q.gate, q.up}
	}
	return []*node{q.gate, q.up, q.dOut}
}

// results are in the kernels' order.
func (q *swiGLU) results() []*node {
	if q.dOut == nil {
		return []*node{q.result}
	}
	return []*node{q.dGate, q.dUp, q.result}
}

// swiGLUMatcher looks for SwiGLUs among the nodes of one fused loop.
type swiGLUMatcher struct {
	g      *group
	inside map[*node]bool
}

// matchSwiGLUs finds the SwiGLUs of a fused loop. It returns each by the first of its results, where its kernel runs, and all nodes that
// the kernels compute or make superfluous.
func (g *group) matchSwiGLUs(nodes []*node, inside map[*node]bool) (at map[*node]*swiGLU, covered map[*node]bool) {
	m := &swiGLUMatcher{g, inside}
	at, covered = map[*node]*swiGLU{}, map[*node]bool{}
	for _, s := range nodes {
		if s.op != backends.OpTypeLogistic {
			continue
		}
		q, temporaries := m.match(s)
		if q == nil {
			continue
		}
		results := slices.DeleteFunc(q.results(), func(n *node) bool { return n == nil })
		first := slices.MinFunc(results, func(a, b *node) int { return a.idx - b.idx })
		late := func(n *node) bool { return inside[n] && n.idx > first.idx }
		if slices.ContainsFunc(q.operands(), late) {
			continue
		}
		at[first] = q
		for _, n := range append(temporaries, results...) {
			covered[n] = true
		}
	}
	return at, covered
}

// sigmoidUsers are the nodes that use s, the sigmoid of a gate.
type sigmoidUsers struct {
	silu       *node // gate * s
	complement *node // 1 - s
	slope      *node // s * (1 - s)
	dSilu      *node // dOut * up * s
}

// match reads the SwiGLU or its gradient around a sigmoid; nil if there is neither. temporaries are the nodes that nothing else needs.
//
// Forwards, result = silu * up with silu = gate * s. The gradient, as automatic differentiation writes it, with through = dOut * up, is
//
//	dUp   = dOut * silu
//	dGate = through * s + (through * gate) * (s * (1 - s))
//
// and the result may be computed once more beside it.
func (m *swiGLUMatcher) match(s *node) (q *swiGLU, temporaries []*node) {
	users, ok := m.sigmoidUsers(s)
	if !ok {
		return nil, nil
	}
	q = &swiGLU{gate: s.inputs[0]}
	temporaries = []*node{s, users.silu}
	switch {
	case users == sigmoidUsers{silu: users.silu}:
		ok = m.matchForward(q, users)
	case users.complement != nil && users.slope != nil && users.dSilu != nil:
		var more []*node
		more, ok = m.matchGradient(q, users, s)
		temporaries = append(temporaries, more...)
	default:
		ok = false
	}
	if !ok {
		return nil, nil
	}
	return q, temporaries
}

// sigmoidUsers sorts the users of a sigmoid. It fails if one is of another kind, or if the product with the gate is missing.
func (m *swiGLUMatcher) sigmoidUsers(s *node) (users sigmoidUsers, ok bool) {
	for _, u := range m.users(s) {
		switch factor := otherFactor(u, s); {
		case factor == s.inputs[0] && users.silu == nil:
			users.silu = u
		case users.complement == nil && isComplement(u, s):
			users.complement = u
		case users.complement != nil && factor == users.complement && users.slope == nil:
			users.slope = u
		case factor != nil && users.dSilu == nil:
			users.dSilu = u
		default:
			return users, false
		}
	}
	return users, users.silu != nil
}

func (m *swiGLUMatcher) matchForward(q *swiGLU, users sigmoidUsers) bool {
	q.result = m.onlyUser(users.silu)
	if q.result == nil {
		return false
	}
	q.up = otherFactor(q.result, users.silu)
	return q.up != nil
}

func (m *swiGLUMatcher) matchGradient(q *swiGLU, users sigmoidUsers, s *node) (temporaries []*node, ok bool) {
	through := otherFactor(users.dSilu, s) // dOut * up
	both := m.users(through)
	if through.op != backends.OpTypeMul || !m.inside[through] || len(both) != 2 || m.onlyUser(users.complement) == nil {
		return nil, false
	}
	throughGate := both[0] // through * gate
	if throughGate == users.dSilu {
		throughGate = both[1]
	}
	if otherFactor(throughGate, through) != q.gate || !m.matchGateGradient(q, users, throughGate) {
		return nil, false
	}
	if !m.matchUpGradient(q, users.silu, through) {
		return nil, false
	}
	return []*node{users.complement, users.slope, users.dSilu, through, throughGate, m.onlyUser(users.slope)}, true
}

// matchGateGradient finds dGate, the sum of dSilu and of throughGate * slope.
func (m *swiGLUMatcher) matchGateGradient(q *swiGLU, users sigmoidUsers, throughGate *node) bool {
	dSlope := m.onlyUser(users.slope) // throughGate * slope
	q.dGate = m.onlyUser(users.dSilu)
	if dSlope == nil || q.dGate == nil || q.dGate.op != backends.OpTypeAdd {
		return false
	}
	return otherFactor(dSlope, users.slope) == throughGate && m.onlyUser(throughGate) == dSlope && m.onlyUser(dSlope) == q.dGate
}

// matchUpGradient finds the products with silu: dUp and perhaps the result.
func (m *swiGLUMatcher) matchUpGradient(q *swiGLU, silu, through *node) bool {
	products := m.users(silu)
	for _, p := range products {
		factor := otherFactor(p, silu)
		switch {
		case len(products) == 1 && factor != nil && otherFactor(through, factor) != nil:
			q.dUp = p
		case factor != through.inputs[0] && factor != through.inputs[1]:
			return false
		case q.dUp == nil:
			q.dUp = p
		default:
			q.result = p
		}
	}
	if q.dUp == nil {
		return false
	}
	// The factors of through are dOut and up, and nothing tells which is which if silu is multiplied with both. It does not matter:
	// the kernel uses through as a whole, and beside it writes dOut*silu and up*silu. Each product gets the factor that it has in the graph.
	q.dOut = otherFactor(q.dUp, silu)
	q.up = otherFactor(through, q.dOut)
	if q.result != nil {
		q.up = otherFactor(q.result, silu)
	}
	return q.up != nil && q.dOut != nil && q.up != q.dOut
}

// users are the users of a value that only this loop needs; nil for other values, which cannot disappear in a kernel.
func (m *swiGLUMatcher) users(n *node) []*node {
	if m.g.escapes[n] {
		return nil
	}
	for _, u := range m.g.c.users[n.idx] {
		if !m.inside[u] {
			return nil
		}
	}
	return m.g.c.users[n.idx]
}

// onlyUser is the one user of a value that only this loop needs, nil if it has more.
func (m *swiGLUMatcher) onlyUser(n *node) *node {
	if u := m.users(n); len(u) == 1 {
		return u[0]
	}
	return nil
}

// otherFactor is y if n is x*y or y*x and y has x's dimensions and is another node than x; else nil.
func otherFactor(n, x *node) *node {
	if n.op != backends.OpTypeMul {
		return nil
	}
	a, b := n.inputs[0], n.inputs[1]
	if a == x {
		a, b = b, a
	}
	if b != x || a == x || !slices.Equal(a.shape.Dimensions, x.shape.Dimensions) {
		return nil
	}
	return a
}

// isComplement reports whether n is 1 - s.
func isComplement(n, s *node) bool {
	return n.op == backends.OpTypeSub && n.inputs[1] == s && isOne(n.inputs[0])
}

// isOne reports whether a node is the constant 1.
func isOne(n *node) bool {
	for n.op == backends.OpTypeBroadcastInDim || n.op == backends.OpTypeReshape {
		n = n.inputs[0]
	}
	st, ok := n.data.(*storage)
	if !ok || n.op != backends.OpTypeConstant || st.n != 1 {
		return false
	}
	switch v := st.flat.(type) {
	case []float32:
		return v[0] == 1
	case []bf16:
		return v[0].Float32() == 1
	}
	return false
}
