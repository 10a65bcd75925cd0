package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"

	"trmsweep/internal/backend/backendtest"
)

// startValues is a safetensors file of a golden case's start values, and the settings that make its model.
func startValues(t *testing.T, name string) (file []byte, settings []string) {
	t.Helper()
	dir := filepath.Join("..", "..", "testdata", "golden")
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Cases map[string]struct {
			Config map[string]json.RawMessage `json:"config"`
			Init   map[string]struct {
				File  string   `json:"file"`
				Scale int      `json:"scale_log2"`
				Shape []uint64 `json:"shape"`
			} `json:"init"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	views := map[string]safetensors.TensorView{}
	for ref, in := range m.Cases[name].Init {
		npy, err := os.ReadFile(filepath.Join(dir, in.File))
		if err != nil {
			t.Fatal(err)
		}
		var data []byte
		for _, v := range npy[10+int(binary.LittleEndian.Uint16(npy[8:])):] {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(math.Ldexp(float64(int8(v)), in.Scale))))
		}
		v, err := safetensors.NewTensorView(safetensors.F32, in.Shape, data)
		if err != nil {
			t.Fatal(err)
		}
		views["_orig_mod.model.inner."+ref] = v
	}
	if file, err = safetensors.Serialize(views, nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"H_cycles", "L_cycles", "L_layers", "hidden_size", "num_heads", "expansion", "mlp_t", "pos_encodings", "puzzle_emb_ndim",
		"puzzle_emb_len", "halt_max_steps",
	} {
		settings = append(settings, "--set", strings.ToLower(key)+"="+strings.Trim(string(m.Cases[name].Config[key]), `"`))
	}
	return file, settings
}

// TestImportTrainExport takes the reference's start values through a run: out as
// they came in, and training goes on from them.
func TestImportTrainExport(t *testing.T) {
	t.Run("cpu", func(t *testing.T) { importTrainExport(t, "cpu") })
	t.Run("xla", func(t *testing.T) { importTrainExport(t, backendtest.XLA(t)) })
}

func importTrainExport(t *testing.T, backend string) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	weights, settings := startValues(t, "A_mlp")
	if err := os.WriteFile(path("in.safetensors"), weights, 0o600); err != nil {
		t.Fatal(err)
	}
	common := append([]string{"--state", path("state"), "--store", path("store")}, "--run", "theirs", "--profile", "smoke")
	common = append(common, settings...)
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := execute(t.Context(), args, &out, &errs); code != want {
			t.Fatalf("%s: exit %d, want %d: %s", strings.Join(args[:2], " "), code, want, errs.String())
		}
		return out.String(), errs.String()
	}
	in := append([]string{"import", path("in.safetensors"), "e2_2_t2_n2"}, common...)
	run(0, in...)
	if _, msg := run(2, in...); !strings.Contains(msg, "run theirs exists") {
		t.Errorf("importing twice: %s", msg)
	}
	export := []string{"export", "theirs", "--store", path("store"), "--out"}
	run(0, append(export, path("out.safetensors"))...)
	run(0, append(export, path("ema.safetensors"), "--ema", "--step", "0")...)
	want, err := safetensors.Deserialize(weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"out.safetensors", "ema.safetensors"} {
		data, err := os.ReadFile(path(name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := safetensors.Deserialize(data)
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != want.Len() {
			t.Errorf("%s: %d tensors, want %d", name, got.Len(), want.Len())
		}
		for _, w := range want.Tensors() {
			ref := strings.TrimPrefix(w.Name, "_orig_mod.")
			if v, ok := got.Tensor(ref); !ok || !bytes.Equal(v.Data(), w.TensorView.Data()) {
				t.Errorf("%s: %s is missing or changed", name, ref)
			}
		}
	}
	streamed, _ := run(0, append(export, "-")...)
	if data, err := os.ReadFile(path("out.safetensors")); err != nil || streamed != string(data) {
		t.Errorf("--out -: %d bytes that are not the file's %d, %v", len(streamed), len(data), err)
	}
	lines, _ := run(0, append([]string{"train", "e2_2_t2_n2", "--max-steps", "1", "--no-metadata", "--backend", backend}, common...)...)
	if !strings.Contains(lines, `"type":"restored"`) {
		t.Errorf("training did not start from the imported checkpoint: %s", lines)
	}
	run(0, append(export, path("later.safetensors"))...)
	first, _ := os.ReadFile(path("out.safetensors"))
	later, err := os.ReadFile(path("later.safetensors"))
	if err != nil || len(first) != len(later) || bytes.Equal(first, later) {
		t.Errorf("after one step %d bytes, before %d, equal %v, %v", len(later), len(first), bytes.Equal(first, later), err)
	}
}

func TestImportExportMistakes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f.safetensors")
	weights, _ := startValues(t, "A_mlp")
	if err := os.WriteFile(file, weights, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		stderr string
	}{
		"no run":     {[]string{"import", file, "e2_2_t2_n2", "--profile", "smoke"}, "--run"},
		"misfit":     {[]string{"import", file, "e2_2_t2_n2", "--profile", "smoke", "--run", "x"}, "the model has"},
		"no file":    {[]string{"import", file + "x", "e2_2_t2_n2", "--profile", "smoke", "--run", "x"}, "f.safetensorsx"},
		"no out":     {[]string{"export", "x"}, "--out"},
		"no such":    {[]string{"export", "x", "--out", file}, "no run"},
		"two wishes": {[]string{"export", "x", "--out", file, "--best", "--step", "3"}, "not both"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := execute(t.Context(), append(c.args, "--state", dir, "--store", dir), &out, &errs)
			if code != 2 || !strings.Contains(errs.String(), c.stderr) {
				t.Errorf("exit %d, %q", code, errs.String())
			}
		})
	}
}
