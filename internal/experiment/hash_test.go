package experiment_test

import (
	"reflect"
	"testing"

	"trmsweep/configs"
	"trmsweep/internal/experiment"
)

// The hashes name runs in stores that exist: they may change only together with
// the hash's format version.
func TestFrozenHashes(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"e1_1_baseline", "458338cf6ef054ec839ed7d8786dc5dcb5783bd02d1b5594354f004d3ccc93ac"},
		{"e1_3_batch_1024", "e4bfc6296b226d9f8c9f5dbb650fc6880c4ca2c8ae410d63ef9f2b389c6ad909"},
		{"e2_2_t3_n6", "e4bfc6296b226d9f8c9f5dbb650fc6880c4ca2c8ae410d63ef9f2b389c6ad909"},
		{"e2_3_attention", "70188a37c3d3d8afd3e49d4db580a6ba74575a8ecb911fc05e2461bf1c22ffd8"},
	} {
		if got := resolve(t, tc.name, "paper").Hash(); got != tc.want {
			t.Errorf("%s: hash %s, want %s", tc.name, got, tc.want)
		}
	}
	if got, want := resolve(t, "e2_2_t3_n6", "paper", "seed=7").RunName(), "e4bfc6296b226d9f"+"-s7"; got != want {
		t.Errorf("run name %s, want %s", got, want)
	}
}

// Every field is in the hash exactly when it decides what is computed.
func TestHashCoversEveryField(t *testing.T) {
	outside := map[string]bool{
		"Name": true, "Phase": true, "Description": true, "Reference": true, "Profile": true, "PaperExactAccuracy": true, "PaperNote": true,
		"CheckpointEverySteps": true, "KeepCheckpoints": true, "LogEverySteps": true, "XLAMetricsEverySteps": true, "Placement": true, "Seed": true,
	}
	base := resolve(t, "e1_3_batch_1024", "paper")
	for i := range reflect.TypeFor[experiment.Spec]().NumField() {
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
		name := reflect.TypeFor[experiment.Spec]().Field(i).Name
		if changed := s.Hash() != base.Hash(); changed == outside[name] {
			t.Errorf("%s: a change of it changes the hash: %v", name, changed)
		}
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
