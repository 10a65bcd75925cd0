package aot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	other := job(1)
	other.Programs = map[string]Program{gradients: {Code: []byte("gg")}, apply: {Code: []byte("a")}, evaluate: {Code: []byte("e")}}
	jobs := []Job{job(1), other}
	estimates, err := p.Estimate(t.Context(), jobs)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(compiled(), ", ")
	if want := "v4-8 , v4-8 g, v4-8 gg, v4-8 a, v4-8 e"; got != want { // the first asks for the topology alone
		t.Errorf("compiled %q, want %q", got, want)
	}
	flops := make([]float64, len(estimates))
	for i, e := range estimates {
		flops[i] = e.FLOPsPerStep
	}
	if diff := cmp.Diff([]float64{2, 3}, flops); diff != "" {
		t.Fatalf("operations a step of each estimate (-want +got):\n%s", diff)
	}
	if n := len(estimates[0].Programs); n != 3 {
		t.Errorf("%d programs, want 3", n)
	}
	if len(told) != 5 {
		t.Fatalf("%d reports of progress, want 5", len(told))
	}
	type progress struct {
		FirstTotal int
		FirstLeft  time.Duration
		LastDone   int
		LastNext   string
	}
	first, last := told[0], told[4]
	if diff := cmp.Diff(progress{FirstTotal: 4, LastDone: 4}, progress{first.Total, first.Left, last.Done, last.Next}); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if told[1].Left <= 0 {
		t.Errorf("%v left after the first program, want an estimate", told[1].Left)
	}
	again, err := p.Estimate(t.Context(), jobs)
	if err != nil || again[1].FLOPsPerStep != 3 {
		t.Fatalf("%+v, %v", again, err)
	}
	if got := compiled(); got[0] != "" {
		t.Errorf("compiled %q again", got)
	}
	known := p.Cache.Known(p.Compiler.Topology, []Job{
		other,
		{Spec: other.Spec, Programs: map[string]Program{gradients: {Code: []byte("new")}}},
	})
	var knownFLOPs []float64 // of a step; 0: nothing is known
	for _, k := range known {
		if k == nil {
			k = &Estimate{}
		}
		knownFLOPs = append(knownFLOPs, k.FLOPsPerStep)
	}
	if diff := cmp.Diff([]float64{3, 0}, knownFLOPs); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
}

func TestPlannerLeavesOutWhatFollowsARefusal(t *testing.T) {
	p := Planner{Compiler: compiler(t, "big"), Cache: Cache{Dir: t.TempDir()}}
	p.Compiler.Library = filepath.Join(t.TempDir(), "libtpu.so")
	if err := os.WriteFile(p.Compiler.Library, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the cache
		got, err := p.Estimate(t.Context(), []Job{job(1)})
		if err != nil || len(got) != 1 {
			t.Fatalf("%d estimates, %v; want 1", len(got), err)
		}
		type facts struct {
			Fits      bool
			Programs  int
			HBMNeeded int64
		}
		want := facts{Programs: 1, HBMNeeded: gib(40)}
		if diff := cmp.Diff(want, facts{got[0].Fits, len(got[0].Programs), got[0].HBMNeeded}); diff != "" {
			t.Fatalf("the estimate (-want +got):\n%s", diff)
		}
		t.Setenv(childEnv, "garbage")
	}
}
