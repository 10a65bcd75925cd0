package layout

import "testing"

func TestRunNamesAreRead(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		name string
		run  string
		hash string
		seed int64
		ok   bool
	}{
		{"made", RunName(hash, 42), "0123456789abcdef", 42, true},
		{"negative seed", RunName(hash, -1), "0123456789abcdef", -1, true},
		{"chosen", "mine", "", 0, false},
		{"short hash", "0123-s42", "", 0, false},
		{"no seed", "0123456789abcdef-s", "", 0, false},
	} {
		hash, seed, ok := ParseRunName(c.run)
		if hash != c.hash || seed != c.seed || ok != c.ok {
			t.Errorf("%s: %s is read as %q, %d, %v", c.name, c.run, hash, seed, ok)
		}
	}
}

func TestRunKeysAreRead(t *testing.T) {
	for _, c := range []struct {
		key    string
		run    string
		object string
		ok     bool
	}{
		{RunKey("r", ResultFile), "r", ResultFile, true},
		{RunKey("r", "ckpt/1/x"), "r", "ckpt/1/x", true},
		{"runs/r", "r", "", false},
		{SpecKey("r"), "", "", false},
	} {
		run, object, ok := ParseRunKey(c.key)
		if run != c.run || object != c.object || ok != c.ok {
			t.Errorf("%s is read as %q, %q, %v", c.key, run, object, ok)
		}
	}
}

// The keys of what is in stores already.
func TestKeysStay(t *testing.T) {
	for got, want := range map[string]string{
		RunName("0123456789abcdef01", 42):        "0123456789abcdef-s42",
		RunKey("0123456789abcdef-s42", HeadFile): "runs/0123456789abcdef-s42/HEAD.json",
		SpecKey("0123456789abcdef-s42"):          "specs/0123456789abcdef-s42.json",
		SweepKey("night", "report.md"):           "sweeps/night/report.md",
		DatasetKey("ab", ManifestFile):           "datasets/ab/MANIFEST.json",
		SourceKey("ab"):                          "sources/ab.json",
		TrialKey("ab"):                           "preflight/trials/ab.json",
		TrialStore("host", "1-2"):                "preflight/trial-host-1-2/",
		ProbeKey("host", 1):                      "preflight/host-1",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
