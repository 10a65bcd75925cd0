package experiment

import "testing"

// A suggestion is what may have been meant, or none.
func TestNearest(t *testing.T) {
	experiments := []string{"e1_1_baseline", "e2_2_t2_n2", "e2_3_attention"}
	for _, c := range []struct {
		name, typed string
		known       []string
		want        string
	}{
		{"a letter left out", "profil", []string{"phases", "profile"}, "profile"},
		{"a letter wrong", "e2_2_t2_m2", experiments, "e2_2_t2_n2"},
		{"another case", "ALLABLATIONS", []string{"AllAblations"}, "AllAblations"},
		{"a part", "attention", experiments, "e2_3_attention"},
		{"nothing like it", "e9", experiments, ""},
		{"one letter", "T", []string{"lr", "n"}, ""},
		{"one of two letters", "lt", []string{"lr", "epochs"}, "lr"},
		{"nothing known", "x", nil, ""},
	} {
		if got := Nearest(c.typed, c.known); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
