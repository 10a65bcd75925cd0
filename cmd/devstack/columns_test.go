package main

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// The page sets the columns before its policy forbids inline scripts; all other files stay as they are.
func TestWithColumns(t *testing.T) {
	const policy = `<meta http-equiv="content-security-policy" content="script-src 'strict-dynamic'">`
	assets, err := withColumns(fstest.MapFS{
		"index.html": {Data: []byte("<html><head>" + policy + "</head></html>")},
		"_app/a.js":  {Data: []byte("a")},
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := fs.ReadFile(assets, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	script, rest, found := strings.Cut(string(page), policy)
	if !found || rest != "</head></html>" {
		t.Errorf("the page has become %s", page)
	}
	for _, want := range []string{columnsKey, `\"default\":[`, `{\"label\":\"TrmStatus\"}`} {
		if !strings.Contains(script, want) {
			t.Errorf("no %s in %s", want, script)
		}
	}
	if other, err := fs.ReadFile(assets, "_app/a.js"); err != nil || string(other) != "a" {
		t.Errorf("another file is %q: %v", other, err)
	}
	if _, err := withColumns(fstest.MapFS{"index.html": {Data: []byte("x")}}); err == nil {
		t.Error("a page of another shape is taken")
	}
}
