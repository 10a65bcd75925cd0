package cpu

import "slices"

// loopDims are the dimensions of the fused loop that computes a node: those of its result, or of what it reduces.
func (g *group) loopDims(n *node) []int {
	if g.c.kinds[n.idx] == reductionEpilogue {
		return n.inputs[0].shape.Dimensions
	}
	return n.shape.Dimensions
}

// inOrder sorts the nodes of a set as they stand in the graph.
func inOrder(set map[*node]bool) []*node {
	out := make([]*node, 0, len(set))
	for n := range set {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *node) int { return a.idx - b.idx })
	return out
}

// fusesOver reports whether a node still has to be computed by a fused loop over dims.
func (g *group) fusesOver(n *node, dims []int) bool {
	if g.vals[n] != nil || !g.member(n) {
		return false
	}
	return g.c.kinds[n.idx].inLoop() && slices.Equal(g.loopDims(n), dims)
}

// producers are root and the elementwise nodes of the same dimensions that it is computed from, directly or through others of them.
func (g *group) producers(root *node) map[*node]bool {
	set := map[*node]bool{}
	dims := g.loopDims(root)
	var add func(n *node)
	add = func(n *node) {
		if set[n] || !g.fusesOver(n, dims) {
			return
		}
		if n != root && g.c.kinds[n.idx] == reductionEpilogue {
			return // the end of a loop: the loop that computes it cannot read its result
		}
		set[n] = true
		for _, m := range n.inputs {
			add(m)
		}
	}
	add(root)
	return set
}

// missingOperands are what the first such node of a fusion reads from outside of it and what is not lowered yet.
func (g *group) missingOperands(fusion map[*node]bool) (missing []*node) {
	for _, n := range inOrder(fusion) {
		for _, m := range n.inputs {
			if !fusion[m] && g.member(m) && g.vals[m] == nil {
				missing = append(missing, m)
			}
		}
		if len(missing) > 0 {
			break
		}
	}
	return missing
}

// addSiblings adds nodes to a fusion over dims that can be computed now and that share an operand of these dimensions with it.
func (g *group) addSiblings(fusion map[*node]bool, dims []int) {
	shared := map[*node]bool{}
	add := func(n *node) {
		fusion[n] = true
		shared[n] = true
		for _, m := range n.inputs {
			if slices.Equal(m.shape.Dimensions, dims) {
				shared[m] = true
			}
		}
	}
	for _, n := range inOrder(fusion) {
		add(n)
	}
	for _, n := range g.nodes {
		if fusion[n] || !g.fusesOver(n, dims) {
			continue
		}
		ready, shares := true, false
		for _, m := range n.inputs {
			inside := fusion[m] && g.c.kinds[m.idx] != reductionEpilogue
			if !inside && !g.ready(m) {
				ready = false
			}
			shares = shares || shared[m]
		}
		if ready && shares {
			add(n)
		}
	}
}

// ready reports whether a value is lowered, or a view of one that is.
func (g *group) ready(n *node) bool {
	if !g.member(n) || g.vals[n] != nil {
		return true
	}
	return g.c.kinds[n.idx] == view && g.ready(n.inputs[0])
}
