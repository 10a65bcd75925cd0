package sudoku

import (
	"fmt"
	"strings"
)

// Profile is a distribution of ratings for generated puzzles.
type Profile struct {
	Name string
	// EasyPercent is the percentage of easy puzzles: they are drawn at random and get Extra
	// clues more than they need, and half of them up to EasyExtra more. For the other
	// puzzles the target is one of the ratings Hard, with equal probability.
	EasyPercent, Extra, EasyExtra int
	Hard                          []int
}

// ProfileExtreme follows the published description of sudoku-extreme: 1.1 of its 4.2
// million puzzles are easy (from lists on Kaggle, unbiased, with 17 clues), the others
// come from lists of the hardest puzzles, and the mean rating is 22. The distribution of
// the hard ones is not published; here it has a long tail. The generated ratings are
// about 5 % above their targets.
var ProfileExtreme = Profile{
	Name: "sudoku-extreme", EasyPercent: 26, EasyExtra: 12,
	Hard: []int{6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 35, 38, 42, 48, 58, 74},
}

// Profiles for small models and budgets. A puzzle needs about 24 clues: easy puzzles have
// 40 to 50, nearly solved ones 64 to 75.
var (
	ProfileEasy         = Profile{Name: "easy", EasyPercent: 100, Extra: 15, EasyExtra: 10}
	ProfileNearlySolved = Profile{Name: "nearly-solved", EasyPercent: 100, Extra: 40, EasyExtra: 10}
)

// Profiles lists the profiles that ProfileNamed knows.
var Profiles = []Profile{ProfileExtreme, ProfileEasy, ProfileNearlySolved}

// ProfileNamed returns the profile with this name.
func ProfileNamed(name string) (Profile, error) {
	var names []string
	for _, p := range Profiles {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("unknown profile %q; known: %s", name, strings.Join(names, ", "))
}

// GenerateLike draws a puzzle of a profile. If minimal is set, no puzzle has a redundant
// clue. The result depends on the arguments only.
func (s *Solver) GenerateLike(p Profile, minimal bool, keys ...uint64) Puzzle {
	r := NewRand(keys...)
	if r.Intn(100) >= p.EasyPercent {
		aim := p.Hard[r.Intn(len(p.Hard))]
		return s.climb(aim, aim+max(2, aim/5), &r)
	}
	puzzle := s.fresh(&r)
	extra := r.Intn(2 * (p.EasyExtra + 1))
	if extra > p.EasyExtra {
		extra = 0
	}
	if !minimal {
		for extra += p.Extra; extra > 0; {
			if i := r.Intn(81); puzzle.Question[i] == 0 {
				puzzle.Question[i] = puzzle.Answer[i]
				extra--
			}
		}
		puzzle.Rating = s.Rate(&puzzle.Question)
	}
	return puzzle
}
