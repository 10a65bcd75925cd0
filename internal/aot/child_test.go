package aot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// childEnv makes this test's binary the child process of a Compiler: it behaves as the variable's value says.
const childEnv = "TRMSWEEP_AOT_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		os.Exit(child(mode))
	}
	os.Exit(m.Run())
}

func child(mode string) int {
	say := func(a answer) int {
		if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
			return 1
		}
		return 0
	}
	switch mode {
	case "libtpu":
		if err := Child(os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		return 0
	case "aborts":
		fmt.Fprintln(os.Stderr, "Check failed: it is a test\n@ 0x1 trace\nhttps://symbolize.example/r\n*** SIGABRT received")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // the Go runtime makes an exit code of SIGABRT
		time.Sleep(time.Hour)
	case "hangs":
		time.Sleep(time.Hour)
	case "garbage":
		fmt.Println("hello")
	case "big":
		return say(answer{Stage: "compile", Error: "Used 40.00G of 30.75G hbm"})
	case "topology":
		return say(answer{Stage: "topology", Error: "not divisible"})
	case "load":
		return say(answer{Stage: "load", Error: "cannot open shared object file"})
	case "counts": // says how long the program is, and appends it to a file
		var r request
		if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
			return 1
		}
		f, err := os.OpenFile(r.Library, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return 1
		}
		defer f.Close()
		fmt.Fprintf(f, "%s %s\n", os.Getenv("TPU_ACCELERATOR_TYPE"), r.Program.Code)
		return say(answer{Compiled: Compiled{Seconds: 1, FLOPs: float64(len(r.Program.Code)), Temporary: 1}})
	}
	return 0
}

// compiler is one whose child behaves so.
func compiler(t *testing.T, mode string) Compiler {
	t.Helper()
	t.Setenv(childEnv, mode)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Compiler{Library: "/none/such/libtpu.so", Topology: v4(t), Command: []string{exe}}
}

func TestCompileSaysWhatWentWrong(t *testing.T) {
	for mode, wants := range map[string][]string{
		"aborts":   {"/none/such/libtpu.so", "died", "signal: killed", "Check failed: it is a test", "SIGABRT"},
		"garbage":  {"hello"},
		"topology": {"v4:2x2x1", "not divisible", "v6e:2x2"},
		"load":     {"/none/such/libtpu.so", "cannot open", "install it again"},
	} {
		t.Run(mode, func(t *testing.T) {
			_, err := compiler(t, mode).Compile(t.Context(), Program{Code: []byte("x")})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "0x1 trace") {
				t.Errorf("%v: a stack trace", err)
			}
			if (mode == "topology") != errors.Is(err, ErrTopology) {
				t.Errorf("%v is ErrTopology: %v", err, errors.Is(err, ErrTopology))
			}
		})
	}
}

func TestCompileTellsWhatIsTooBig(t *testing.T) {
	c, err := compiler(t, "big").Compile(t.Context(), Program{Code: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&TooBig{gib(40), gib(30.75)}, c.Refused); diff != "" {
		t.Errorf("the refusal (-want +got):\n%s", diff)
	}
}

func TestCompileEndsWithItsContext(t *testing.T) {
	c := compiler(t, "hangs")
	c.Timeout = 50 * time.Millisecond
	if _, err := c.Compile(t.Context(), Program{}); err == nil || !strings.Contains(err.Error(), "did not end within 50ms") {
		t.Errorf("after the time: %v", err)
	}
	c.Timeout = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Compile(ctx, Program{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
