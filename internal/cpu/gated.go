package cpu

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
)

// gated is a SwiGLU, or the gradient of one, among the nodes of a chain: one kernel computes all of it.
type gated struct {
	gate, up, dOut     *node // dOut nil: no gradient
	result, dGate, dUp *node // of the gradient any may be nil
}

// operands and results in the kernels' order.
func (q *gated) operands() []*node {
	if q.dOut == nil {
		return []*node{q.gate, q.up}
	}
	return []*node{q.gate, q.up, q.dOut}
}

func (q *gated) results() []*node {
	if q.dOut == nil {
		return []*node{q.result}
	}
	return []*node{q.dGate, q.dUp, q.result}
}

// matcher looks at the nodes of one chain; a node that is kept in memory cannot disappear in a kernel.
type matcher struct {
	g      *group
	inside map[*node]bool
}

// users are the users of a temporary, nil where the value is needed elsewhere too.
func (m *matcher) users(n *node) []*node {
	if m.g.escape[n] {
		return nil
	}
	for _, u := range m.g.c.users[n.idx] {
		if !m.inside[u] {
			return nil
		}
	}
	return m.g.c.users[n.idx]
}

// times is the other factor where n is x times something of x's dimensions, else nil.
func times(n, x *node) *node {
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

// gates finds what is fused: by the node at which its kernel runs, the first of its results; gone are all nodes that need no step.
func (g *group) gates(nodes []*node, inside map[*node]bool) (at map[*node]*gated, gone map[*node]bool) {
	m := &matcher{g, inside}
	at, gone = map[*node]*gated{}, map[*node]bool{}
	for _, s := range nodes {
		if s.op != backends.OpTypeLogistic {
			continue
		}
		q, parts := m.match(s)
		if q == nil {
			continue
		}
		first := slices.MinFunc(slices.DeleteFunc(q.results(), func(n *node) bool { return n == nil }), func(a, b *node) int { return a.idx - b.idx })
		if slices.ContainsFunc(q.operands(), func(n *node) bool { return inside[n] && n.idx > first.idx }) {
			continue
		}
		at[first] = q
		for _, n := range append(parts, q.results()...) {
			if n != nil {
				gone[n] = true
			}
		}
	}
	return at, gone
}

// match reads a SwiGLU around the sigmoid s of a gate. parts are its temporaries.
func (m *matcher) match(s *node) (q *gated, parts []*node) {
	q = &gated{gate: s.inputs[0]}
	var silu, one, slope, byGate *node // gate*s; 1-s; s*(1-s); what s is multiplied with in the gradient
	for _, u := range m.users(s) {
		switch {
		case times(u, s) == q.gate && silu == nil:
			silu = u
		case u.op == backends.OpTypeSub && u.inputs[1] == s && isOne(u.inputs[0]) && one == nil:
			one = u
		case one != nil && times(u, s) == one && slope == nil:
			slope = u
		case times(u, s) != nil && byGate == nil:
			byGate = u
		default:
			return nil, nil
		}
	}
	if silu == nil {
		return nil, nil
	}
	parts = []*node{s, silu}
	factors := m.users(silu)
	if one == nil && slope == nil && byGate == nil { // forwards
		if len(factors) != 1 || times(factors[0], silu) == nil {
			return nil, nil
		}
		q.result, q.up = factors[0], times(factors[0], silu)
		return q, parts
	}
	if one == nil || slope == nil || byGate == nil {
		return nil, nil
	}
	through := times(byGate, s) // dOut*up
	both := m.users(through)
	if through.op != backends.OpTypeMul || !m.inside[through] || len(both) != 2 || len(m.users(one)) != 1 || len(m.users(slope)) != 1 || len(m.users(byGate)) != 1 {
		return nil, nil
	}
	other := both[0]
	if other == byGate {
		other = both[1]
	}
	curve := m.users(slope)[0] // through*gate*slope
	q.dGate = m.users(byGate)[0]
	if times(other, through) != q.gate || times(curve, slope) != other || len(m.users(other)) != 1 || len(m.users(curve)) != 1 ||
		m.users(curve)[0] != q.dGate || q.dGate.op != backends.OpTypeAdd {
		return nil, nil
	}
	for _, f := range factors { // dOut*silu, and silu*up once more
		switch x := times(f, silu); {
		case x != nil && times(through, x) != nil && q.dUp == nil && len(factors) == 1:
			q.dUp, q.dOut, q.up = f, x, times(through, x)
		case x == through.inputs[0] || x == through.inputs[1]:
			if q.dUp == nil {
				q.dUp = f
			} else {
				q.result = f
			}
		default:
			return nil, nil
		}
	}
	if q.dUp == nil {
		return nil, nil
	}
	if q.result != nil {
		// Of the two products with silu, the result is the one with what is not the gradient: the later node's factor cannot be told by
		// form alone, but either reading gives both values; only their places differ.
		q.dOut, q.up = times(q.dUp, silu), times(q.result, silu)
	}
	if q.up == nil || q.dOut == nil || q.up == q.dOut {
		return nil, nil
	}
	return q, append(parts, one, slope, byGate, through, other, curve)
}

// isOne says whether a node is the constant 1.
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
