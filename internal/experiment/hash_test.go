package experiment_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

// The hashes name runs in stores that exist: they may change only together with
// the hash's format version. formatOne are the hashes that commit c500883 made.
func TestFrozenHashes(t *testing.T) {
	for _, tc := range []struct{ name, want, formatOne string }{
		{"e1_1_baseline", "a961207de85a4a80f3ad784b15027645627f7aa87a6af08d2a965ebf49e169cd",
			"458338cf6ef054ec839ed7d8786dc5dcb5783bd02d1b5594354f004d3ccc93ac"},
		{"e1_3_batch_1024", "52b699b1f4b3ac421dbed86ae1e9745eeabb6ded61ec6dc7df5339104f58f9ac",
			"e4bfc6296b226d9f8c9f5dbb650fc6880c4ca2c8ae410d63ef9f2b389c6ad909"},
		{"e2_2_t3_n6", "52b699b1f4b3ac421dbed86ae1e9745eeabb6ded61ec6dc7df5339104f58f9ac",
			"e4bfc6296b226d9f8c9f5dbb650fc6880c4ca2c8ae410d63ef9f2b389c6ad909"},
		{"e2_3_attention", "d3f3da8bef96f785195dc55479dd79f1c01c9f92add6284651cd5773b91eb51f",
			"70188a37c3d3d8afd3e49d4db580a6ba74575a8ecb911fc05e2461bf1c22ffd8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := resolve(t, tc.name, "paper", "seed=7", "gradient_shards=1")
			if got := s.Hash(); got != tc.want {
				t.Errorf("hash %s, want %s", got, tc.want)
			}
			if got, want := s.RunName(), tc.want[:16]+"-s7"; got != want {
				t.Errorf("run name %s, want %s", got, want)
			}
			if !s.HasHash(tc.formatOne) || !slices.Contains(s.RunNames(), tc.formatOne[:16]+"-s7") {
				t.Errorf("a run that c500883 made is not known again: want %s in %v", tc.formatOne[:16]+"-s7", s.RunNames())
			}
			for _, set := range []string{"lr=0.5", "gradient_shards=2"} {
				other := resolve(t, tc.name, "paper", "gradient_shards=1", set)
				if other.HasHash(tc.formatOne) {
					t.Errorf("with %s it still has the old hash", set)
				}
			}
		})
	}
}

// Format 1 hashed the number of workers: 8 in the paper profile, 1 in the others, or what was set.
func TestOldHashesOfProfilesAndSettings(t *testing.T) {
	const smoke = "db757732431a029b31d065c1b420c16f393a56bf1fc4252fc02a0ccea4098fd8" // e2_2_t2_n2, smoke
	if s := resolve(t, "e2_2_t2_n2", "smoke"); !slices.Contains(s.RunNames(), smoke[:16]+"-s42") {
		t.Errorf("names %v, want %s among them", s.RunNames(), smoke)
	}
	const four = "3bec3a25fb40d5fb502a0dea7a5bc7456bc50a112d0fc355bc247218f311868b" // e1_1_baseline, paper, num_workers=4
	if s := resolve(t, "e1_1_baseline", "paper", "gradient_shards=1"); !s.HasHash(four) {
		t.Errorf("%s, of num_workers=4, is not known again", four)
	}
}

// always are the keys that are in the hash at every value. They are those of format 1: a new key that decides what is
// computed has the tag hash:"unless=VALUE" instead, VALUE being what programs without the key computed, so that it
// renames no run.
var always = []string{
	"beta1", "beta2", "data_augmentations", "data_min_rating", "data_puzzles", "data_seed", "data_source", "data_test_puzzles",
	"ema", "ema_rate", "epochs", "eval_batch_size", "eval_interval_epochs", "eval_puzzles", "expansion", "final_eval_puzzles",
	"forward_dtype", "freeze_weights", "global_batch_size", "h_cycles", "halt_exploration_prob", "halt_max_steps", "hidden_size",
	"l_cycles", "l_layers", "loss_type", "lr", "lr_min_ratio", "lr_warmup_steps", "mlp_t", "no_act_continue", "num_heads",
	"pos_encodings", "puzzle_emb_len", "puzzle_emb_lr", "puzzle_emb_ndim", "puzzle_emb_weight_decay", "weight_decay",
}

// Every field is in the hash exactly when it decides what is computed, and no new one is in it always.
func TestHashCoversEveryField(t *testing.T) {
	base := resolve(t, "e1_3_batch_1024", "paper")
	inHashAtAll := map[string]bool{}
	for i := range reflect.TypeFor[experiment.Spec]().NumField() {
		field := reflect.TypeFor[experiment.Spec]().Field(i)
		s := base
		v := reflect.ValueOf(&s).Elem().Field(i)
		switch v.Kind() {
		case reflect.String:
			v.SetString("another")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Float64:
			v.SetFloat(v.Float() + 0.5)
		default:
			v.SetInt(v.Int() + 1)
		}
		key := field.Tag.Get("mapstructure")
		if changed := s.Hash() != base.Hash(); changed != experiment.Hashed(key) {
			t.Errorf("%s: a change of it changes the hash: %v, want %v", key, changed, experiment.Hashed(key))
		}
		if field.Tag.Get("hash") == "yes" {
			inHashAtAll[key] = true
		}
	}
	if got := slices.Sorted(maps.Keys(inHashAtAll)); !slices.Equal(got, always) {
		t.Errorf("keys with the tag hash:\"yes\": %v\nwant %v; a new key needs a neutral value, hash:\"unless=VALUE\"", got, always)
	}
}

func TestHashIgnoresHowAValueWasGiven(t *testing.T) {
	s, err := experiment.Resolve(configs.FS, "e1_3_batch_1024", "paper", []string{"h_cycles=4"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := resolve(t, "e2_2_t4_n6", "paper").Hash(); s.Hash() != want {
		t.Errorf("T=4 by --set hashes to %s, by file to %s", s.Hash(), want)
	}
}
