package experiment

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// later is a specification with a key that was added after the first release.
type later struct {
	HiddenSize int   `mapstructure:"hidden_size" hash:"yes"`
	Seed       int64 `mapstructure:"seed" hash:"no"`
	Devices    int   `json:"devices" mapstructure:"devices" hash:"unless=1"`
	Exact      bool  `json:"exact" mapstructure:"exact" hash:"unless=false"`
}

func TestKeyAtItsNeutralValueIsNotInTheHash(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec later
		want []string
	}{
		{"all neutral", later{64, 1, 1, false}, []string{"hidden_size"}},
		{"one is not", later{64, 1, 4, false}, []string{"devices", "hidden_size"}},
		{"none is", later{64, 1, 4, true}, []string{"devices", "exact", "hidden_size"}},
		{"zero is a value unless it is the neutral one", later{64, 1, 0, false}, []string{"devices", "hidden_size"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := slices.Sorted(maps.Keys(hashedValues(tc.spec))); !slices.Equal(got, tc.want) {
				t.Errorf("in the hash: %v, want %v", got, tc.want)
			}
		})
	}
}

// What an older program stored lacks the newer keys: it computed what their neutral values say.
func TestStoredSpecWithoutAKeyHasItsNeutralValue(t *testing.T) {
	var s later
	setNeutral(reflect.ValueOf(&s).Elem())
	if err := json.Unmarshal([]byte(`{"exact":true}`), &s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(later{Devices: 1, Exact: true}, s); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestTagsAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name string
		of   any
		want string
	}{
		{"none", struct {
			A int `mapstructure:"a"`
		}{}, "want no, yes or unless=VALUE"},
		{"neutral value of another type", struct {
			A int `mapstructure:"a" hash:"unless=many"`
		}{}, `"many" is not a whole number`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, tc.want) {
					t.Errorf("panic %q, want %q in it", text, tc.want)
				}
			}()
			fieldsOf(reflect.TypeOf(tc.of))
		})
	}
}

func TestDecodeSpec(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"of this format", `{"hidden_size": 64, "lr": 0.5}`, ""},
		{"of format 1", `{"hidden_size": 64, "num_workers": 8, "xla_metrics_every_steps": 50}`, ""},
		{"unknown key", `{"hiden_size": 64}`, "hiden_size: unknown key; the nearest known key is hidden_size"},
		{"wrong type", `{"hidden_size": "64"}`, "hidden_size"},
		{"more follows", `{"hidden_size": 64} {}`, "more follows the spec"},
		{"list", `[1]`, "cannot unmarshal array"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := DecodeSpec([]byte(tc.text))
			if tc.want == "" {
				if err != nil || s.HiddenSize != 64 {
					t.Errorf("hidden_size %d, %v, want 64", s.HiddenSize, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}
