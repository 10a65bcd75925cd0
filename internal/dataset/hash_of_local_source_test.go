package dataset

import (
	"os"
	"path/filepath"
	"testing"

	"trmsweep/internal/blob/mem"
)

// LocalHash is what Ensure says, follows the file's contents, and has nothing to say of other sources.
func TestLocalHash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.csv")
	const row = "source,question,answer,rating\n" +
		"x,53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79," +
		"534678912672195348198342567859761423426853791713924856961537284287419635345286179,0\n"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := func(source string) string {
		t.Helper()
		h, err := LocalHash(t.Context(), Options{Source: source, TestCount: 1})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write(row)
	made, err := Ensure(t.Context(), mem.New(nil), Options{Source: file, TestSource: file}, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	both, err := LocalHash(t.Context(), Options{Source: file, TestSource: file})
	if err != nil || both != made.Hash {
		t.Errorf("%s %v, want %s", both, err, made.Hash)
	}
	before := hash(file)
	write(row + "\n")
	if after := hash(file); before == "" || after == "" || after == before {
		t.Errorf("%q, and after a change %q", before, after)
	}
	for _, source := range []string{SourceGenerate, "gs://bucket/x.csv", "hf:owner/name", file + ".gone"} {
		if h := hash(source); h != "" {
			t.Errorf("%s: %s, want nothing", source, h)
		}
	}
}
