package pjrt

import (
	"strings"
	"testing"
)

func TestFinish(t *testing.T) {
	for name, c := range map[string]struct {
		aliases         [][2]int
		signature, want string // "" for want: as it was
	}{
		"none": {nil, "(%x: tensor<3xf32>) -> tensor<3xf32>", ""},
		"one": {[][2]int{{0, 0}}, "(%x: tensor<3xf32>) -> tensor<3xf32>",
			"(%x: tensor<3xf32> { tf.aliasing_output = 0 : i32 }) -> tensor<3xf32>"},
		"no dims": {[][2]int{{0, 0}}, "(%x: tensor<f32>) -> tensor<f32>",
			"(%x: tensor<f32> { tf.aliasing_output = 0 : i32 }) -> tensor<f32>"},
		"any order": {[][2]int{{2, 0}, {0, 1}},
			"(%x: tensor<2xf32>, %y: tensor<i1>, %z: tensor<3xbf16>) -> (tensor<3xbf16>, tensor<2xf32>)",
			"(%x: tensor<2xf32> { tf.aliasing_output = 1 : i32 }, %y: tensor<i1>, " +
				"%z: tensor<3xbf16> { tf.aliasing_output = 0 : i32 }) -> (tensor<3xbf16>, tensor<2xf32>)"},
		"attributes": {[][2]int{{0, 0}, {1, 1}},
			`(%x: tensor<2xf32> { sdy.sharding = #sdy.sharding<@mesh, [{"a", "b"}, {}]> }, %y: tensor<2xf32>) -> ` +
				`(tensor<2xf32> { sdy.sharding = #sdy.sharding<@mesh, [{}]> }, tensor<2xf32>)`,
			`(%x: tensor<2xf32> { tf.aliasing_output = 0 : i32, sdy.sharding = #sdy.sharding<@mesh, [{"a", "b"}, {}]> }, ` +
				`%y: tensor<2xf32> { tf.aliasing_output = 1 : i32 }) -> ` +
				`(tensor<2xf32> { sdy.sharding = #sdy.sharding<@mesh, [{}]> }, tensor<2xf32>)`},
		"other types": {[][2]int{{0, 0}}, "(%x: tensor<3xf32>) -> tensor<3xbf16>", ""},
		"no such":     {[][2]int{{1, 0}}, "(%x: tensor<3xf32>) -> tensor<3xf32>", ""},
		"no function": {[][2]int{{0, 0}}, "", ""},
	} {
		m := NewModule("step")
		for _, a := range c.aliases {
			m.Alias(a[0], a[1])
		}
		text := func(name, signature string) string {
			function := ""
			if signature != "" {
				function = "  func.func @main" + signature + " {\n    %0 = \"stablehlo.x\"(%x) { a = 1 : i64 } : (tensor<3xf32>) -> tensor<3xf32>\n  }"
			}
			return "module @" + name + " attributes {stablehlo.num_replicas = 4} {\n" + function + "\n}\n"
		}
		if c.want == "" {
			c.want = c.signature
		}
		got := string(Finish([]byte(text(m.Name(), c.signature))))
		if want := text("step", c.want); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	for _, other := range []string{"module @step {\n}\n", "", "\x4d\x4c\xef\x52bytecode", "module @step__aliases {\n}"} {
		if got := string(Finish([]byte(other))); got != other {
			t.Errorf("%q became %q", other, got)
		}
	}
	only := NewModule("step")
	only.LoadOnly()
	if text, loadOnly := finish([]byte("module @" + only.Name() + " {\n}\n")); string(text) != "module @step {\n}\n" || !loadOnly {
		t.Errorf("a program that may only be loaded: %q, %v", text, loadOnly)
	}
	if a, b := NewModule("x").Name(), NewModule("x").Name(); a == b || !strings.HasPrefix(a, "x"+moduleMark) {
		t.Errorf("names %s and %s", a, b)
	}
}
