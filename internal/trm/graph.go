package trm

import . "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // graphs read as formulas

// namedOutputs are the outputs of a graph.
type namedOutputs struct {
	names []string
	nodes []*Node
}

func (o *namedOutputs) add(name string, n *Node) {
	o.names = append(o.names, name)
	o.nodes = append(o.nodes, n)
}

// declare makes graph parameters of the state's variables of one kind.
func (m *Model) declare(param paramFunc, kind string) map[string]*Node {
	nodes := map[string]*Node{}
	for _, v := range m.vars {
		if k, rest := cutKind(v.name); k == kind {
			nodes[rest] = param(v.name, v.dtype, m.cfg.shardShape(v)...)
		}
	}
	return nodes
}
