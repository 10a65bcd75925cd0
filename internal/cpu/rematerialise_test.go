package cpu

import "testing"

// A value has two views, and one of them is read in its own group only. Asking about either must end, and must find the reader of the
// other.
func TestLiveAtFindsReadersOfSiblingViews(t *testing.T) {
	value := &node{idx: 0}
	left := &node{idx: 1, inputs: []*node{value}}
	right := &node{idx: 2, inputs: []*node{value}}
	near := &node{idx: 3, inputs: []*node{left}}
	far := &node{idx: 4, inputs: []*node{right}}
	c := &compiler{kinds: []kind{elementwise, view, view, elementwise, elementwise}, level: []int{1, 1, 1, 1, 3},
		users: [][]*node{{left, right}, {near}, {far}, nil, nil}}
	for _, tc := range []struct {
		name   string
		x, but *node
		level  int
		want   bool
	}{
		{"a view whose sibling is read later", left, near, 3, true},
		{"a view whose sibling is read too early", left, near, 5, false},
		{"a view that its only later reader asks about", right, far, 3, false},
		{"the value itself", value, nil, 3, true},
	} {
		if got := c.liveAt(tc.x, tc.but, tc.level); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
