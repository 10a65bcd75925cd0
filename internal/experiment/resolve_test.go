package experiment_test

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

// files copies the built-in configuration and replaces or adds some of it.
func files(t *testing.T, change map[string]string) fs.FS {
	t.Helper()
	m := fstest.MapFS{}
	err := fs.WalkDir(configs.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(configs.FS, p)
		m[p] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for p, s := range change {
		m[p] = &fstest.MapFile{Data: []byte(s)}
	}
	return m
}

func resolve(t *testing.T, name, profile string, sets ...string) experiment.Spec {
	t.Helper()
	s, err := experiment.Resolve(configs.FS, name, profile, sets, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPaperMatchesTheStudy(t *testing.T) {
	steps := map[string]int64{
		"e1_1_baseline": 195_312, "e1_3_batch_512": 97_656, "e1_3_batch_1024": 48_828, "e2_1_ema_off": 48_828,
		"e2_2_t2_n2": 48_828, "e2_2_t2_n6": 48_828, "e2_2_t3_n4": 48_828, "e2_2_t3_n6": 48_828, "e2_2_t4_n6": 48_828,
		"e2_3_attention": 48_828, "e2_4_nsup_8": 48_828, "e3_1_large_model": 24_414, "e3_2_more_data": 244_140,
		"e4_1_lr_search": 48_828, "e4_2_longer_training": 97_656, "e4_3_deeper_model": 48_828, "e4_4_no_warmup": 48_828,
		"e4_5_larger_batch": 24_414,
	}
	specs, err := experiment.ResolveSweep(configs.FS, []string{"AllAblations"}, "paper", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(specs) != len(steps) {
		t.Fatalf("%d experiments, want %d", len(specs), len(steps))
	}
	changed := map[string]func(experiment.Spec) bool{
		"e1_1_baseline": func(s experiment.Spec) bool {
			return s.GlobalBatchSize == 256 && s.LR == 1e-4 && s.LRWarmupSteps == 2000
		},
		"e2_1_ema_off": func(s experiment.Spec) bool { return !s.EMA },
		"e2_2_t2_n2":   func(s experiment.Spec) bool { return s.HCycles == 2 && s.LCycles == 2 },
		"e2_2_t4_n6":   func(s experiment.Spec) bool { return s.HCycles == 4 && s.LCycles == 6 },
		"e2_3_attention": func(s experiment.Spec) bool {
			return !s.MLPT && s.PosEncodings == "rope" && s.PaperExactAccuracy == 74.7
		},
		"e2_4_nsup_8": func(s experiment.Spec) bool { return s.HaltMaxSteps == 8 },
		"e3_1_large_model": func(s experiment.Spec) bool {
			return s.LLayers == 4 && s.HiddenSize == 1024 && s.NumHeads == 16 && s.GlobalBatchSize == 2048 && s.LR == 8e-4
		},
		"e3_2_more_data":       func(s experiment.Spec) bool { return s.DataPuzzles == 5000 },
		"e4_1_lr_search":       func(s experiment.Spec) bool { return s.LR == 5e-4 && s.PuzzleEmbLR == 5e-4 },
		"e4_2_longer_training": func(s experiment.Spec) bool { return s.Epochs == 100_000 },
		"e4_3_deeper_model":    func(s experiment.Spec) bool { return s.LLayers == 4 && s.HiddenSize == 512 },
		"e4_4_no_warmup":       func(s experiment.Spec) bool { return s.LRWarmupSteps == 0 },
		"e4_5_larger_batch":    func(s experiment.Spec) bool { return s.LR == 8e-4 && s.LRWarmupSteps == 10000 },
	}
	hashes := map[string][]string{}
	for _, s := range specs {
		if s.TotalSteps() != steps[s.Name] {
			t.Errorf("%s: %d steps, want %d", s.Name, s.TotalSteps(), steps[s.Name])
		}
		if ok := changed[s.Name]; ok != nil && !ok(s) {
			t.Errorf("%s does not make its change: %+v", s.Name, s)
		}
		if s.Profile != "paper" || s.Seed != 42 || s.DataAugmentations != 1000 {
			t.Errorf("%s: profile %q, seed %d, %d augmentations", s.Name, s.Profile, s.Seed, s.DataAugmentations)
		}
		hashes[s.Hash()] = append(hashes[s.Hash()], s.Name)
	}
	if len(hashes) != 17 {
		t.Errorf("%d distinct specs, want 17: %v", len(hashes), hashes)
	}
	same := hashes[specs[slices.IndexFunc(specs, func(s experiment.Spec) bool { return s.Name == "e2_2_t3_n6" })].Hash()]
	if !slices.Equal(same, []string{"e1_3_batch_1024", "e2_2_t3_n6"}) {
		t.Errorf("shared run of %v, want e1_3_batch_1024 and e2_2_t3_n6", same)
	}
}

// Whatever a profile scales, the experiments must differ as they do at full size.
func TestProfilesKeepWhatExperimentsChange(t *testing.T) {
	for _, profile := range []string{"smoke", "laptop"} {
		t.Run(profile, func(t *testing.T) {
			specs, err := experiment.ResolveSweep(configs.FS, nil, profile, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			base := resolve(t, "e1_3_batch_1024", profile)
			distinct := map[string]bool{}
			for _, s := range specs {
				p := resolve(t, s.Name, "paper")
				b := resolve(t, "e1_3_batch_1024", "paper")
				distinct[s.Hash()] = true
				ratio := func(key string, x, y, px, py float64) {
					if x*py != y*px {
						t.Errorf("%s: %s is %v to the base's %v, at full size %v to %v", s.Name, key, x, y, px, py)
					}
				}
				ratio("global_batch_size", float64(s.GlobalBatchSize), float64(base.GlobalBatchSize), float64(p.GlobalBatchSize),
					float64(b.GlobalBatchSize))
				ratio("data_puzzles", float64(s.DataPuzzles), float64(base.DataPuzzles), float64(p.DataPuzzles), float64(b.DataPuzzles))
				ratio("epochs", float64(s.Epochs), float64(base.Epochs), float64(p.Epochs), float64(b.Epochs))
				ratio("hidden_size", float64(s.HiddenSize), float64(base.HiddenSize), float64(p.HiddenSize), float64(b.HiddenSize))
				ratio("l_cycles", float64(s.LCycles), float64(base.LCycles), float64(p.LCycles), float64(b.LCycles))
				ratio("halt_max_steps", float64(s.HaltMaxSteps), float64(base.HaltMaxSteps), float64(p.HaltMaxSteps), float64(b.HaltMaxSteps))
				fewer := s.LCycles != p.LCycles || s.HaltMaxSteps != p.HaltMaxSteps
				if profile == "laptop" && fewer {
					t.Errorf("%s: n %d and %d supervision steps, at full size %d and %d", s.Name, s.LCycles, s.HaltMaxSteps, p.LCycles, p.HaltMaxSteps)
				}
				structure := s
				structure.HCycles = p.HCycles
				structure.MLPT = p.MLPT
				structure.EMA = p.EMA
				structure.LLayers = p.LLayers
				if diff := cmp.Diff(structure, s); diff != "" {
					t.Errorf("%s: the profile changed the model's structure (-want +got):\n%s", s.Name, diff)
				}
				want := float64(p.LRWarmupSteps) / float64(b.LRWarmupSteps) * float64(base.LRWarmupSteps)
				if d := float64(s.LRWarmupSteps) - want; d > 1 || d < -1 || (p.LRWarmupSteps == 0) != (s.LRWarmupSteps == 0) {
					t.Errorf("%s: warm-up %d, want about %.1f", s.Name, s.LRWarmupSteps, want)
				}
			}
			if len(distinct) != 17 {
				t.Errorf("%d distinct specs, want 17", len(distinct))
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	env := []string{"PATH=/bin", "TRMSWEEP_SET_EVAL_BATCH_SIZE=7", "TRMSWEEP_SET_EPOCHS=40"}
	s, err := experiment.Resolve(configs.FS, "e4_2_longer_training", "smoke", []string{"eval_batch_size=9", "lr=0.25"}, env)
	if err != nil {
		t.Fatal(err)
	}
	want := s
	want.EvalBatchSize, want.LR = 9, 0.25 // --set
	want.Epochs = 40                      // the environment
	want.PuzzleEmbLR = 0.25               // what no profile scales
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	fsys := files(t, map[string]string{
		"experiments/e9_bad.yaml": "phase: advanced\nhiden_size: 64\nlr: fast\nema: true\nema: false\nnum_heads: [1]\nname: x\nepochs: 1.5\n",
	})
	_, err := experiment.Resolve(fsys, "e9_bad", "paper", []string{"beta1=x", "seeed=1", "nonsense"}, []string{"TRMSWEEP_SET_LL_LAYERS=2"})
	for _, want := range []string{
		"experiments/e9_bad.yaml:2: hiden_size: unknown key; the nearest known key is hidden_size",
		`experiments/e9_bad.yaml:3: lr: "fast" is not a number`,
		"experiments/e9_bad.yaml:5: ema: given twice, first in line 4",
		"experiments/e9_bad.yaml:6: num_heads: a list or mapping is not a whole number",
		"experiments/e9_bad.yaml:7: name: cannot be set",
		`experiments/e9_bad.yaml:8: epochs: "1.5" is not a whole number`,
		`--set: beta1: "x" is not a number`,
		"--set: seeed: unknown key; the nearest known key is seed",
		"--set nonsense: want KEY=VALUE",
		"TRMSWEEP_SET_LL_LAYERS: ll_layers: unknown key; the nearest known key is l_layers",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
	var list experiment.Faults
	if !errors.As(err, &list) || len(list) != 10 {
		t.Errorf("%d faults, want 10:\n%v", len(list), err)
	}
}

func TestFaultsNameTheirOrigin(t *testing.T) {
	for _, tc := range []struct {
		name, experiment, profile string
		sets                      []string
		files                     map[string]string
		want                      string
	}{
		{"key of old", "e1_1_baseline", "paper", []string{"num_workers=7"}, nil, "--set: num_workers: is no key any more: it computed nothing"},
		{"key of old in a file", "e1_1_baseline", "p", nil, map[string]string{"profiles/p.yaml": "scale:\n  xla_metrics_every_steps: 0.1\n"},
			"profiles/p.yaml:2: scale.xla_metrics_every_steps: is no key any more: nothing read it"},
		{"heads", "e1_1_baseline", "paper", []string{"num_heads=7"}, nil, "--set: num_heads: hidden_size 512 is not divisible by 7 heads"},
		{"unknown experiment", "e1_1_basline", "paper", nil, nil, "the nearest known one is e1_1_baseline"},
		{"unknown profile", "e1_1_baseline", "smok", nil, nil, "the nearest known one is smoke"},
		{"fraction of a batch", "e1_1_baseline", "p", nil, map[string]string{"profiles/p.yaml": "scale:\n  global_batch_size: 0.001\n"},
			"profiles/p.yaml:2: global_batch_size: 256 of experiments/e1_1_baseline.yaml:12 times 0.001 is not a whole number"},
		{"depth that rounds to another", "e2_2_t3_n4", "p", nil, map[string]string{"profiles/p.yaml": "scale:\n  l_cycles: 0.1\n"},
			"profiles/p.yaml:2: l_cycles: 4 of experiments/e2_2_t3_n4.yaml"},
		{"unknown reference", "e2_1_ema_off", "paper", []string{"reference=e2_2_t3n6"}, nil,
			`--set: reference: unknown experiment "e2_2_t3n6"; the nearest known one is e2_2_t3_n6`},
		{"second document", "e2_1_ema_off", "paper", nil,
			map[string]string{"experiments/e2_1_ema_off.yaml": "phase: ablations\n---\nemma: false\n"}, "experiments/e2_1_ema_off.yaml:"},
		{"scaled and set", "e2_1_ema_off", "p", nil,
			map[string]string{"profiles/p.yaml": "scale:\n  eval_puzzles: 0.5\nset:\n  eval_puzzles: 7\n"},
			"profiles/p.yaml:2: eval_puzzles: is also set in profiles/p.yaml:4"},
		{"profile overwrites", "e2_1_ema_off", "p", nil, map[string]string{"profiles/p.yaml": "set:\n  ema: true\n"},
			"profiles/p.yaml:2: ema: the profile would undo what experiments/e2_1_ema_off.yaml"},
		{"profile scales text", "e2_1_ema_off", "p", nil, map[string]string{"profiles/p.yaml": "scale:\n  ema: 2\n"},
			"scale.ema: ema cannot be scaled"},
		{"profile floor", "e2_1_ema_off", "p", nil, map[string]string{"profiles/p.yaml": "floor:\n  hidden_size: 64\n"},
			"a floor would make experiments"},
		{"floor alone", "e2_1_ema_off", "p", nil, map[string]string{"profiles/p.yaml": "floor:\n  eval_puzzles: 64\n"},
			"profiles/p.yaml:2: floor.eval_puzzles: eval_puzzles is not scaled"},
		{"profile section", "e2_1_ema_off", "p", nil, map[string]string{"profiles/p.yaml": "scales:\n  lr: 2\n"},
			"unknown section; the nearest known one is scale"},
		{"not YAML", "e2_1_ema_off", "paper", nil, map[string]string{"experiments/e2_1_ema_off.yaml": "a: b: c"},
			"experiments/e2_1_ema_off.yaml"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := experiment.Resolve(files(t, tc.files), tc.experiment, tc.profile, tc.sets, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to contain %q", err, tc.want)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	for _, tc := range []struct {
		names []string
		want  string
		err   string
	}{
		{nil, `^e1_1_baseline e1_3_batch_512 e1_3_batch_1024 e2_1.* e4_5_larger_batch$`, ""},
		{[]string{"TNSweep"}, `^e2_2_t2_n2 e2_2_t2_n6 e2_2_t3_n4 e2_2_t3_n6 e2_2_t4_n6$`, ""},
		{[]string{"BatchSweep"}, `^e1_1_baseline e1_3_batch_512 e1_3_batch_1024 e4_5_larger_batch$`, ""},
		{[]string{"scaling", "e1_1_baseline", "e3_2_more_data"}, `^e3_1_large_model e3_2_more_data e1_1_baseline$`, ""},
		{[]string{"TNSwep"}, "", "the nearest known one is TNSweep"},
		{[]string{"ablation"}, "", "the nearest known one is ablations"},
	} {
		t.Run(strings.Join(tc.names, ","), func(t *testing.T) {
			got, err := experiment.Expand(configs.FS, tc.names)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got, " "); !regexp.MustCompile(tc.want).MatchString(s) {
				t.Errorf("got %s", s)
			}
		})
	}
}

// Every configuration file says how to run it and what to expect, and loads.
func TestEveryFileLoads(t *testing.T) {
	profiles, err := experiment.Profiles(configs.FS)
	if err != nil {
		t.Fatal(err)
	}
	sweeps, err := experiment.Sweeps(configs.FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range profiles {
		for _, sw := range sweeps {
			if _, err := experiment.ResolveSweep(configs.FS, []string{sw}, p, nil, nil); err != nil {
				t.Errorf("sweep %s, profile %s: %v", sw, p, err)
			}
		}
	}
	err = fs.WalkDir(configs.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(configs.FS, p)
		if err != nil {
			return err
		}
		head, _, _ := strings.Cut(string(data), "\n\n")
		for _, want := range []string{"# Command: ", "# Hardware:", "# Duration:", "# Expected:"} {
			if !strings.Contains(head, want) {
				t.Errorf("%s: its first comment lacks %q", p, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A file that cannot be parsed is one fault; the keys that it would have set are not wrong.
func TestUnreadableFileIsOneFault(t *testing.T) {
	for name, text := range map[string]string{
		"not YAML": "a: b: c", "a list": "- 1\n", "a second document": "phase: ablations\n---\nphase: ablations\n",
	} {
		_, err := experiment.Resolve(files(t, map[string]string{"experiments/e2_1_ema_off.yaml": text}), "e2_1_ema_off", "paper", nil, nil)
		var list experiment.Faults
		if !errors.As(err, &list) || len(list) != 1 || !strings.HasPrefix(list[0].Origin, "experiments/e2_1_ema_off.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAliasesOfYAML(t *testing.T) {
	const file = "experiments/e9_alias.yaml"
	s, err := experiment.Resolve(files(t, map[string]string{file: "phase: &p advanced\nnum_heads: &n 4\nh_cycles: *n\ndescription: *p\n"}),
		"e9_alias", "paper", nil, nil)
	if err != nil {
		t.Error(err)
	}
	want := s
	want.NumHeads, want.HCycles, want.Description = 4, 4, "advanced"
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	_, err = experiment.Resolve(files(t, map[string]string{file: "phase: advanced\nnum_heads: &n [4]\nh_cycles: *n\n"}), "e9_alias", "paper",
		nil, nil)
	if err == nil || !strings.Contains(err.Error(), file+":3: h_cycles: a list or mapping is not a whole number") {
		t.Error(err)
	}
	names, err := experiment.Expand(files(t, map[string]string{"sweeps/Two.yaml": "experiments: [&a e2_1_ema_off, *a]\n"}), []string{"Two"})
	if err != nil || len(names) != 1 || names[0] != "e2_1_ema_off" {
		t.Errorf("sweep with an alias: %v, %v", names, err)
	}
}
