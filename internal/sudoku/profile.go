package sudoku

import (
	"fmt"
	"strings"
)

// Profile is a mixture of ratings that a set of generated puzzles aims at.
type Profile struct {
	Name string
	// EasyPercent of the puzzles are drawn as they come with Extra clues more than they
	// need, half of them with up to EasyExtra more; the others aim at one of Hard, each
	// as often.
	EasyPercent, Extra, EasyExtra int
	Hard                          []int
}

// ProfileExtreme is what is published of sudoku-extreme: 1.1 of its 4.2 million
// puzzles are easy (lists of Kaggle, unbiased, with 17 clues), the others from
// lists of the hardest, and the mean rating is 22. The spread of the hard ones is
// not published: theirs here has a long tail. Searches end some 5 % above their aim.
var ProfileExtreme = Profile{
	Name: "sudoku-extreme", EasyPercent: 26, EasyExtra: 12,
	Hard: []int{6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 35, 38, 42, 48, 58, 74},
}

// Profiles for models and budgets that are small: about 24 clues are needed, so
// easy puzzles have some 40 to 50, nearly solved ones 64 to 75.
var (
	ProfileEasy         = Profile{Name: "easy", EasyPercent: 100, Extra: 15, EasyExtra: 10}
	ProfileNearlySolved = Profile{Name: "nearly-solved", EasyPercent: 100, Extra: 40, EasyExtra: 10}
)

// Profiles are those known by name.
var Profiles = []Profile{ProfileExtreme, ProfileEasy, ProfileNearlySolved}

// ProfileNamed finds one of Profiles.
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

// GenerateLike draws a puzzle of a profile; minimal leaves no clue too many in any
// of them. The result depends on the arguments only.
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
