package aot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// planned is a planner whose compiler writes down what it compiles.
func planned(t *testing.T) (p Planner, compiled func() []string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "libtpu.so")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p = Planner{Compiler: compiler(t, "counts"), Cache: Cache{Dir: t.TempDir()}}
	p.Compiler.Library = log
	return p, func() []string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(log, nil, 0o600); err != nil { // its hash is part of the cache's keys
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
}

func TestPlannerCompilesEachProgramOnce(t *testing.T) {
	p, compiled := planned(t)
	var told []Progress
	p.Progress = func(s Progress) { told = append(told, s) }
	other := job(64)
	other.Programs = map[string]Program{gradients: {Code: []byte("gg")}, apply: {Code: []byte("a")}, evaluate: {Code: []byte("e")}}
	jobs := []Job{job(64), other}
	estimates, err := p.Estimate(t.Context(), jobs)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(compiled(), ", ")
	if want := "v4-8 , v4-8 g, v4-8 gg, v4-8 a, v4-8 e"; got != want { // the first asks for the topology alone
		t.Errorf("compiled %q, want %q", got, want)
	}
	if len(estimates) != 2 || estimates[0].FLOPsPerStep != 2 || estimates[1].FLOPsPerStep != 3 || len(estimates[0].Programs) != 3 {
		t.Errorf("estimates %+v", estimates)
	}
	last := told[len(told)-1]
	if len(told) != 5 || told[0].Total != 4 || told[0].Left != 0 || told[1].Left <= 0 || last.Done != 4 || last.Next != "" {
		t.Errorf("progress %+v", told)
	}
	again, err := p.Estimate(t.Context(), jobs)
	if err != nil || again[1].FLOPsPerStep != 3 {
		t.Fatalf("%+v, %v", again, err)
	}
	if got := compiled(); got[0] != "" {
		t.Errorf("compiled %q again", got)
	}
	known := p.Cache.Known(p.Compiler.Topology, []Job{other, {Spec: other.Spec, Rows: 1, EvalRows: 1, Programs: map[string]Program{gradients: {Code: []byte("new")}}}})
	if known[0] == nil || known[0].FLOPsPerStep != 3 || known[1] != nil {
		t.Errorf("known %+v", known)
	}
}

func TestPlannerLeavesOutWhatFollowsARefusal(t *testing.T) {
	p := Planner{Compiler: compiler(t, "big"), Cache: Cache{Dir: t.TempDir()}}
	p.Compiler.Library = filepath.Join(t.TempDir(), "libtpu.so")
	if err := os.WriteFile(p.Compiler.Library, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the cache
		got, err := p.Estimate(t.Context(), []Job{job(64)})
		if err != nil || len(got) != 1 || got[0].Fits || len(got[0].Programs) != 1 || got[0].HBMNeeded != gib(40) {
			t.Fatalf("%+v, %v", got, err)
		}
		t.Setenv(childEnv, "garbage")
	}
}
