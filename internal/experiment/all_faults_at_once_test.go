package experiment

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trmsweep/configs"
)

// One pass finds misspelt keys, wrong types and impossible values in every file,
// variable and flag, each with its place.
func TestAllFaultsAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, configs.FS); err != nil {
		t.Fatal(err)
	}
	add := func(file, lines string) {
		f, err := os.OpenFile(filepath.Join(dir, file), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(lines); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	add("base.yaml", "eppochs: 3\n")
	add("experiments/e2_1_ema_off.yaml", "hiden_size: 12\neval_batch_size: 0\nnum_heads: \"eight\"\n")
	add("experiments/e4_4_no_warmup.yaml", "pos_encodings: ropes\n")
	_, err := ResolveSweep(os.DirFS(dir), nil, "paper", []string{"lr=fast", "epochs=50001"},
		[]string{"TRMSWEEP_SET_EMA_RATE=1.5", "TRMSWEEP_SET_NUM_HEADS=7"})
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{
		"base.yaml:", "eppochs: unknown key; the nearest known key is epochs",
		"e2_1_ema_off.yaml:", "hiden_size: unknown key; the nearest known key is hidden_size",
		`num_heads: "eight" is not a whole number`,
		"eval_batch_size: 0 is too small, the least is 1",
		"TRMSWEEP_SET_NUM_HEADS: num_heads: hidden_size 512 is not divisible by 7 heads",
		"TRMSWEEP_SET_EMA_RATE: ema_rate: 1.5 is out of range",
		`--set: lr: "fast" is not a number`,
		"does not divide epochs 50001",
		`e4_4_no_warmup.yaml:`, `pos_encodings: "ropes" is not one of none, learned, rope`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("lacks %q:\n%v", want, err)
		}
	}
}
