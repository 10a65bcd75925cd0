package terminal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableFitsTheWidth(t *testing.T) {
	table := Table{
		Columns: []Column{{Name: "NAME"}, {Name: "PLACE", Drop: 2}, {Name: "NOTE", Drop: 1}, {Name: "LEFT"}},
		Rows:    [][]string{{"the_first_experiment", "hier", "größer", "2m"}, {"b", "", "", ""}},
	}
	for _, c := range []struct {
		name  string
		width int
		want  string
	}{
		{"no terminal", 0, `
NAME                  PLACE  NOTE    LEFT
the_first_experiment  hier   größer  2m
b`},
		{"it fits exactly, counted in runes", 41, `
NAME                  PLACE  NOTE    LEFT
the_first_experiment  hier   größer  2m
b`},
		{"one column goes", 40, `
NAME                  PLACE  LEFT
the_first_experiment  hier   2m
b`},
		{"two columns go", 32, `
NAME                  LEFT
the_first_experiment  2m
b`},
		{"the widest cell is shortened", 20, `
NAME            LEFT
the_first_exp…  2m
b`},
		{"what is narrower than anything", 10, `
NAME     …
the_fir… …
b`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := "\n" + strings.Join(table.Lines(c.width), "\n")
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	got := Wrap([]string{"", "abc", "äöü ßx"}, 4)
	if d := cmp.Diff([]string{"", "abc", "äöü", "ßx"}, got); d != "" {
		t.Error(d)
	}
}
