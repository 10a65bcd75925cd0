package aot

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseTopology(t *testing.T) {
	for name, tc := range map[string]struct {
		chips  int
		bounds []int64
		wrong  string // in the error
	}{
		"v4:2x2x1":    {chips: 4, bounds: []int64{2, 2, 1}},
		"v4:2x4x4":    {chips: 32, bounds: []int64{2, 2, 1}},
		"v4:1x1x1":    {chips: 1, bounds: []int64{1, 1, 1}},
		"v5p:2x2x2":   {chips: 8, bounds: []int64{2, 2, 1}},
		"v5e:2x4":     {chips: 8},
		"v6e:1x1":     {chips: 1},
		"":            {wrong: "want a kind of chip"},
		"v4":          {wrong: "want a kind of chip"},
		"v4:":         {wrong: "want a kind of chip"},
		"v4:2x":       {wrong: "want a kind of chip"},
		"v4:2x2x1 ":   {wrong: "want a kind of chip"},
		"v4:-2x2x1":   {wrong: "want a kind of chip"},
		"v4:2x2":      {wrong: "have 3 sides"},
		"v5e:2x2x1":   {wrong: "have 2 sides"},
		"v4:0x2x1":    {wrong: "no chip"},
		"v4:99x99x99": {wrong: "at most 4096"},
		"v9:2x2":      {wrong: "no chip v9"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseTopology(name)
			if tc.wrong != "" {
				lists := err != nil && strings.Contains(err.Error(), "v4:2x2x1") && strings.Contains(err.Error(), "v6e:2x2")
				if !errors.Is(err, ErrTopology) || !strings.Contains(err.Error(), tc.wrong) || !lists {
					t.Fatalf("error %v; want %q and the known topologies in it", err, tc.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Chips != tc.chips {
				t.Errorf("%d chips, want %d", got.Chips, tc.chips)
			}
			if !slices.Equal(got.hostBounds(), tc.bounds) {
				t.Errorf("hosts of %v, want %v", got.hostBounds(), tc.bounds)
			}
		})
	}
}

// TestHostBoundsAreACopy: the table of chips stays as it is.
func TestHostBoundsAreACopy(t *testing.T) {
	one, err := ParseTopology("v4:1x1x1")
	if err != nil {
		t.Fatal(err)
	}
	one.hostBounds()
	four, err := ParseTopology("v4:2x2x1")
	if err != nil || !slices.Equal(four.hostBounds(), []int64{2, 2, 1}) {
		t.Errorf("hosts of %v, %v", four.hostBounds(), err)
	}
}
