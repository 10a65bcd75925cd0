package trm

import (
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas
)

// A batch is cut into Config.Shards equal parts of neighbouring slots. The gradients program computes one of them: a shard's gradients
// depend on the weights, on its carry and on its rows, and on no other shard. They are added in a fixed order, that of a balanced binary
// tree over the number of the shard, by a program of its own: fused with another, the compiler might contract operations of both, and the
// sum would be rounded otherwise. So the bits of a step depend on the number of shards, and on nothing about where each is computed.

// shard is one of the equal parts of a batch.
type shard struct {
	carries   []carryBuffers
	gradients *program // with the shard's carry and results; nil until it is compiled
}

// carryBuffers are an array of the carry and the one that waits in next until all shards of its step are known to be finite.
type carryBuffers struct{ next, current *deviceBuffer }

// gradientTree adds the gradients of the shards: neighbours first, then neighbouring pairs, and so on.
//
//	shard 0 ─┬─ pair ─┬─ sum
//	shard 1 ─┘        │
//	shard 2 ─┬─ pair ─┘
//	shard 3 ─┘
//
// Shards come in their order, and a sum is made as soon as both of its parts are there. As in a binary counter, partial[j] waits with the
// sum of 2^j shards, so that at most log2(shards)+1 sets of gradients are alive.
type gradientTree struct {
	add     *program          // grad/ = sum/ + grad/; nil until it is compiled
	grads   []*deviceBuffer   // grad/: where the gradients program leaves a shard's, and where apply finds the sum
	sums    []*deviceBuffer   // sum/: the earlier shards' part of an addition
	partial [][]*deviceBuffer // [log2(shards)]
}

// newGradientTree makes the buffers, without memory. Only arrays that programs name are among arrays.
func newGradientTree(c Config, arrays map[string]*deviceBuffer) *gradientTree {
	t := &gradientTree{}
	set := func(kind string) (all []*deviceBuffer) {
		for _, v := range c.gradients() {
			all = append(all, newDeviceBuffer(kind+v.name, v.dtype, v.shape...))
		}
		return all
	}
	t.grads = set("grad/")
	if c.shardCount() > 1 {
		t.sums = set("sum/")
	}
	for n := c.shardCount(); n > 1; n /= 2 {
		t.partial = append(t.partial, set("partial/"))
	}
	for _, a := range t.grads {
		arrays[a.name] = a
	}
	for _, a := range t.sums {
		arrays[a.name] = a
	}
	return t
}

// adds reports whether there is anything to add: neither if a batch is one shard, nor if nothing is trained.
func (t *gradientTree) adds() bool { return len(t.sums) > 0 }

// buffers are all buffers of the tree.
func (t *gradientTree) buffers() []*deviceBuffer {
	all := append(t.grads[:len(t.grads):len(t.grads)], t.sums...)
	for _, set := range t.partial {
		all = append(all, set...)
	}
	return all
}

// addShard takes the gradients of shard k from grad/. After those of the last shard, the sum of all is there.
func (m *Model) addShard(k int) error {
	t := m.tree
	if !t.adds() {
		return nil
	}
	level := 0
	for ; k>>level&1 == 1; level++ {
		exchange(t.sums, t.partial[level])
		if err := m.dev.run(t.add); err != nil {
			return err
		}
	}
	if k < len(m.shards)-1 {
		exchange(t.grads, t.partial[level])
	}
	return nil
}

// exchange swaps the values of two sets of buffers.
func exchange(a, b []*deviceBuffer) {
	for i := range a {
		a[i].buf, b[i].buf = b[i].buf, a[i].buf
		a[i].spare, b[i].spare = b[i].spare, a[i].spare
	}
}

// addGraph adds two sets of gradients, and says whether the sums are finite as zeroOrNaN does.
func (m *Model) addGraph(_ *Graph, param paramFunc) ([]string, []*Node) {
	out := &namedOutputs{}
	vs := m.cfg.gradients()
	sums := make([]*Node, len(vs))
	for i, v := range vs {
		sums[i] = param("sum/"+v.name, v.dtype, v.shape...)
	}
	for i, v := range vs {
		out.add("grad/"+v.name, Add(sums[i], param("grad/"+v.name, v.dtype, v.shape...)))
	}
	out.add("out/not_finite", Reshape(ReduceAllSum(Concatenate(zeroOrNaN(out.nodes), 0)), 1))
	return out.names, out.nodes
}

// bindShards gives every shard the gradients program. It was built with the buffers of the first shard; the others have their own.
func (m *Model) bindShards(p *program) {
	m.shards[0].gradients = p
	first := m.shards[0]
	for k := range m.shards[1:] {
		s := &m.shards[k+1]
		own := map[*deviceBuffer]*deviceBuffer{}
		for i, c := range first.carries {
			own[c.current], own[c.next] = s.carries[i].current, s.carries[i].next
		}
		s.gradients = p.with(own)
	}
}

// closeGradients frees the gradients program and what the shards have of it.
func (m *Model) closeGradients() {
	for k := range m.shards {
		s := &m.shards[k]
		if k > 0 && s.gradients != nil {
			for _, a := range s.gradients.own {
				m.dev.drop(a)
			}
		} else {
			m.dev.close(s.gradients)
		}
		s.gradients = nil
	}
}

// newShards makes the carries of all shards, without memory, and lists the buffers of every variable of the state. The first shard's are
// among arrays.
func (c Config) newShards(arrays map[string]*deviceBuffer) (shards []shard, state [][]*deviceBuffer) {
	shards = make([]shard, c.shardCount())
	for _, v := range c.variables() {
		if !PerSlot(v.name) {
			arrays[v.name] = newDeviceBuffer(v.name, v.dtype, v.shape...)
			state = append(state, []*deviceBuffer{arrays[v.name]})
			continue
		}
		_, rest := cutKind(v.name)
		var parts []*deviceBuffer
		for k := range shards {
			b := carryBuffers{
				next:    newDeviceBuffer("next/"+rest, v.dtype, c.shardShape(v)...),
				current: newDeviceBuffer(v.name, v.dtype, c.shardShape(v)...),
			}
			shards[k].carries = append(shards[k].carries, b)
			parts = append(parts, b.current)
		}
		arrays[parts[0].name], arrays["next/"+rest] = parts[0], shards[0].carries[len(shards[0].carries)-1].next
		state = append(state, parts)
	}
	return shards, state
}

// treeSum adds values of the shards in the order in which their gradients are added. It overwrites them.
func treeSum[T any](of []T, add func(a, b T) T) T {
	for distance := 1; distance < len(of); distance *= 2 {
		for i := 0; i+distance < len(of); i += 2 * distance {
			of[i] = add(of[i], of[i+distance])
		}
	}
	return of[0]
}
