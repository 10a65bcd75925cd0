package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"trmsweep/internal/clidoc"
)

var update = flag.Bool("update", false, "write this binary's part of docs/CLI.md")

func TestCommandReferenceIsUpToDate(t *testing.T) {
	const file = "../../docs/CLI.md"
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := clidoc.Replace(string(got), "tctl", clidoc.Markdown(newRootCmd()))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(got) != want || !strings.Contains(want, "### tctl workflow start") {
		t.Error("docs/CLI.md is not what the commands say: `make docs` writes it")
	}
}
