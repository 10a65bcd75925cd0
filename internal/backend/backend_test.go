package backend

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestUnavailableIsAnError(t *testing.T) {
	corrupt := filepath.Join(t.TempDir(), "pjrt_c_api_broken_plugin.so")
	if err := os.WriteFile(corrupt, []byte("no plugin"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tensorflow", "xla", "xla:none-such", "xla:/none/such.so", "xla:" + corrupt} {
		if _, _, err := New(name, 0); !errors.Is(err, ErrUnavailable) {
			t.Errorf("New(%q) = %v, want ErrUnavailable", name, err)
		}
	}
}

func TestAutoAndGo(t *testing.T) {
	for _, name := range []string{"auto", "go"} {
		b, info, err := New(name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if info.Name == "auto" || info.Devices < 1 {
			t.Errorf("New(%q): %+v", name, info)
		}
		b.Finalize()
	}
}
