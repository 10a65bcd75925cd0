package experiment_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"trmsweep/internal/experiment"
)

// manifest is the part of the reference implementation's recorded numbers that
// needs no tensors.
type manifest struct {
	Units struct {
		LRSchedule []struct {
			BaseLR   float64      `json:"base_lr"`
			Warmup   int64        `json:"warmup"`
			Total    int64        `json:"total"`
			MinRatio float64      `json:"min_ratio"`
			Points   [][2]float64 `json:"points"`
		} `json:"lr_schedule"`
		TotalSteps struct {
			Points [][5]float64 `json:"points"`
		} `json:"total_steps"`
		SwiGLUInter []struct {
			Hidden    int     `json:"hidden"`
			Expansion float64 `json:"expansion"`
			Inter     int     `json:"inter"`
		} `json:"swiglu_inter"`
		ParamCounts map[string]struct {
			Config struct {
				HiddenSize    int     `json:"hidden_size"`
				LLayers       int     `json:"L_layers"`
				NumHeads      int     `json:"num_heads"`
				MLPT          bool    `json:"mlp_t"`
				PosEncodings  string  `json:"pos_encodings"`
				Expansion     float64 `json:"expansion"`
				PuzzleEmbLen  int     `json:"puzzle_emb_len"`
				PuzzleEmbNDim int     `json:"puzzle_emb_ndim"`
			} `json:"config"`
			NumParams int64 `json:"num_params"`
		} `json:"param_counts"`
	} `json:"units"`
}

func golden(t *testing.T) manifest {
	t.Helper()
	dir := os.Getenv("TRM_GOLDEN_DIR")
	if dir == "" {
		dir = "../../testdata/golden"
	}
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatalf("golden numbers of the reference: %v (TRM_GOLDEN_DIR names their folder)", err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGoldenLRSchedule(t *testing.T) {
	cases := golden(t).Units.LRSchedule
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		for _, p := range c.Points {
			got := experiment.LearningRate(c.BaseLR, int64(p[0]), c.Warmup, c.Total, c.MinRatio)
			if math.Abs(got-p[1]) > 1e-12*math.Abs(p[1])+1e-300 {
				t.Errorf("base %v warm-up %d total %d ratio %v: step %v has %v, want %v", c.BaseLR, c.Warmup, c.Total, c.MinRatio, p[0], got, p[1])
			}
		}
	}
}

func TestGoldenTotalSteps(t *testing.T) {
	points := golden(t).Units.TotalSteps.Points
	if len(points) == 0 {
		t.Fatal("no points")
	}
	for _, p := range points {
		s := experiment.Spec{Epochs: int(p[0]), DataPuzzles: int(p[1] * p[2]), GlobalBatchSize: int(p[3])}
		if s.TotalSteps() != int64(p[4]) {
			t.Errorf("epochs %v, groups %v, batch %v: %d steps, want %v", p[0], p[1], p[3], s.TotalSteps(), p[4])
		}
	}
}

func TestGoldenSwiGLUInter(t *testing.T) {
	cases := golden(t).Units.SwiGLUInter
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		if got := experiment.SwiGLUInter(c.Hidden, c.Expansion); got != c.Inter {
			t.Errorf("hidden %d, expansion %v: %d, want %d", c.Hidden, c.Expansion, got, c.Inter)
		}
	}
}

func TestGoldenParamCounts(t *testing.T) {
	cases := golden(t).Units.ParamCounts
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for name, c := range cases {
		s := experiment.Spec{
			HiddenSize: c.Config.HiddenSize, LLayers: c.Config.LLayers, NumHeads: c.Config.NumHeads, MLPT: c.Config.MLPT,
			PosEncodings: c.Config.PosEncodings, Expansion: c.Config.Expansion, PuzzleEmbLen: c.Config.PuzzleEmbLen,
			PuzzleEmbNDim: c.Config.PuzzleEmbNDim,
		}
		if s.Params() != c.NumParams {
			t.Errorf("%s: %d parameters, want %d", name, s.Params(), c.NumParams)
		}
	}
}
