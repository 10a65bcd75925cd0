package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/open"
	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

// asProgram makes this test binary the program itself.
const asProgram = "TRMSWEEP_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	for _, kv := range os.Environ() { // the configuration of whoever runs the tests is not theirs
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "TRMSWEEP_SET_") {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

const processDeadline = 3 * time.Minute

// process is a training process of its own, with what it has said.
type process struct {
	cmd    *exec.Cmd
	events *lines
	stderr bytes.Buffer
}

// program runs this program with the arguments; hear (may be nil) gets every event while it runs.
func program(t *testing.T, env []string, hear func(*process, protocol.Event), args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return command(t, env, hear, append([]string{self}, args...)...)
}

// command is program with a command line before or around it.
func command(t *testing.T, env []string, hear func(*process, protocol.Event), args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), processDeadline)
	t.Cleanup(cancel)
	p := &process{cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	p.events = &lines{hear: func(e protocol.Event) {
		if hear != nil {
			hear(p, e)
		}
	}}
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.events, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for the process: its exit code, -1 where a signal ended it.
func (p *process) end() int {
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(p.cmd.Process.Pid, s) }

// drowsy stops a process for a moment in its first step: the next saves are then
// due, however fast the machine trains. What follows goes to hear.
func drowsy(hear func(*process, protocol.Event)) func(*process, protocol.Event) {
	awake := false
	return func(p *process, e protocol.Event) {
		if !awake && e.State == protocol.StateTraining {
			awake = true
			p.signal(syscall.SIGSTOP)
			time.Sleep(1100 * time.Millisecond) // saves are a second apart
			p.signal(syscall.SIGCONT)
		}
		hear(p, e)
	}
}

// short is the training of 400 steps and two evaluations that the tests of processes share.
func short(store, state string) []string { return shortOf("e2_2_t2_n2", "cpu", store, state) }

// shortOf is short with another experiment and backend.
func shortOf(name, backend, store, state string) []string {
	args := []string{"train", name, "--backend", backend, "--threads", "1", "--no-metadata", "--store", store, "--state", state, "--run", "r"}
	return append(args, shortSettings...)
}

// shortSettings make an experiment a short one.
var shortSettings = tiny("epochs=100", "eval_interval_epochs=50", "checkpoint_every_steps=40", "log_every_steps=20")

// tiny are the flags that make an experiment as small as can be, with more values.
func tiny(more ...string) []string {
	return settings(append([]string{
		"hidden_size=16", "num_heads=2", "puzzle_emb_ndim=16", "puzzle_emb_len=1", "expansion=1", "l_layers=1", "h_cycles=1", "l_cycles=1",
		"global_batch_size=2", "data_puzzles=8", "data_augmentations=1", "data_test_puzzles=4",
	}, more...)...)
}

// settings are the flags of the profile smoke with these values.
func settings(values ...string) []string {
	args := []string{"--profile", "smoke"}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

// outcome is everything that a finished run leaves, without times and names of attempts.
type outcome struct {
	state, chain, metrics string
	scalars               []scalar
}

// scalar is one value of an event file.
type scalar struct {
	step int64
	tag  string
	bits uint32
}

// look verifies the finished run r of a store and reads what it left. Every
// event file in its folder counts, as it does for TensorBoard.
func look(t *testing.T, store, state string) (o outcome) {
	t.Helper()
	var out bytes.Buffer
	code := execute(t.Context(), []string{"verify", "--json", "--store", store, "--state", state, "--run", "r"}, &out, &out)
	if code != exitOK {
		t.Fatalf("verify: exit code %d\n%s", code, out.String())
	}
	var v train.Verification
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || !v.Finished || len(v.Orphans) > 0 {
		t.Fatalf("%v\n%s", err, out.String())
	}
	b, closer, err := open.Bucket(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	run := blob.Prefix(b, "runs/r/")
	var metrics, events []byte
	for prefix, all := range map[string]*[]byte{"metrics/": &metrics, "tb/": &events} {
		for a, err := range run.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			data, _, err := blob.ReadAll(t.Context(), run, a.Key, 0)
			if err != nil {
				t.Fatal(err)
			}
			*all = append(*all, data...)
		}
	}
	return outcome{v.StateSHA256, v.BatchSHA, string(metrics), scalars(t, events)}
}

// scalars reads concatenated event files; the times in them are left out.
func scalars(t *testing.T, data []byte) (out []scalar) {
	t.Helper()
	for len(data) > 0 {
		n := binary.LittleEndian.Uint64(data)
		event := fields(t, data[12:12+n])
		data = data[12+n+4:]
		step := int64(0)
		for _, f := range event {
			switch f.number {
			case 2:
				step = int64(f.value)
			case 5:
				for _, v := range fields(t, f.bytes) {
					s := scalar{step: step}
					for _, g := range fields(t, v.bytes) {
						if g.number == 1 {
							s.tag = string(g.bytes)
						} else {
							s.bits = uint32(g.value)
						}
					}
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// field is one field of a protocol buffer.
type field struct {
	number int
	value  uint64
	bytes  []byte
}

func fields(t *testing.T, data []byte) (out []field) {
	t.Helper()
	for len(data) > 0 {
		f := field{number: int(data[0] >> 3)}
		kind := data[0] & 7
		data = data[1:]
		n := 0
		switch kind {
		case 0:
			f.value, n = binary.Uvarint(data)
		case 1:
			f.value, n = binary.LittleEndian.Uint64(data), 8
		case 2:
			size, m := binary.Uvarint(data)
			f.bytes, n = data[m:m+int(size)], m+int(size)
		case 5:
			f.value, n = uint64(binary.LittleEndian.Uint32(data)), 4
		default:
			t.Fatalf("wire type %d", kind)
		}
		data = data[n:]
		out = append(out, f)
	}
	return out
}

var calm struct {
	once sync.Once
	outcome
}

// undisturbed is the outcome of short without any accident.
func undisturbed(t *testing.T) outcome {
	t.Helper()
	calm.once.Do(func() {
		dir := t.TempDir()
		p := program(t, nil, nil, short(dir+"/store", dir)...)
		if code := p.end(); code != protocol.ExitDone {
			t.Fatalf("exit code %d\n%s", code, p.stderr.String())
		}
		calm.outcome = look(t, dir+"/store", dir)
	})
	if len(calm.scalars) == 0 {
		t.Fatal("the undisturbed run failed")
	}
	return calm.outcome
}

// same compares the finished run of a store with the undisturbed one.
func same(t *testing.T, store, state string) {
	t.Helper()
	equal(t, look(t, store, state), undisturbed(t))
}

// equal compares a finished run with the undisturbed one.
func equal(t *testing.T, got, want outcome) {
	t.Helper()
	if got.state != want.state || got.chain != want.chain {
		t.Errorf("state %s, chain %s; undisturbed %s, %s", got.state, got.chain, want.state, want.chain)
	}
	if got.metrics != want.metrics {
		t.Errorf("metrics\n%s\nundisturbed\n%s", got.metrics, want.metrics)
	}
	if !slices.Equal(got.scalars, want.scalars) {
		t.Errorf("event files hold %d scalars, undisturbed %d", len(got.scalars), len(want.scalars))
	}
	once := map[scalar]bool{}
	for _, s := range got.scalars {
		s.bits = 0
		if once[s] {
			t.Errorf("%s of step %d twice", s.tag, s.step)
		}
		once[s] = true
	}
}

// killedAfterCheckpoint trains until 20 steps after a checkpoint, and kills the process.
func killedAfterCheckpoint(t *testing.T, args ...string) {
	t.Helper()
	saved := int64(0)
	p := program(t, nil, drowsy(func(p *process, e protocol.Event) {
		if e.Type == protocol.EventCheckpoint && saved == 0 {
			saved = e.Step
		}
		if saved > 0 && e.Step >= saved+20 {
			p.signal(syscall.SIGKILL)
		}
	}), args...)
	if code := p.end(); code != -1 || saved == 0 {
		t.Fatalf("exit code %d, checkpoint of step %d\n%s", code, saved, p.stderr.String())
	}
}

// A process killed some steps after a checkpoint repeats them, and neither the
// metrics nor the event files of its run hold one of them twice.
func TestKilledProcessLogsNothingTwice(t *testing.T) {
	dir := t.TempDir()
	store := dir + "/store"
	for range 3 {
		killedAfterCheckpoint(t, short(store, dir)...)
	}
	if code := program(t, nil, nil, short(store, dir)...).end(); code != protocol.ExitDone {
		t.Fatalf("exit code %d", code)
	}
	same(t, store, dir)
}

// A run in shards that was killed is the same as in one go.
func TestKilledProcessOfShards(t *testing.T) {
	dir, calm := t.TempDir(), t.TempDir()
	args := func(dir string) []string {
		return slices.Concat(short(dir+"/store", dir), []string{"--set", "gradient_shards=2"})
	}
	killedAfterCheckpoint(t, args(dir)...)
	for _, dir := range []string{dir, calm} {
		if p := program(t, nil, nil, args(dir)...); p.end() != protocol.ExitDone {
			t.Fatal(p.stderr.String())
		}
	}
	want := look(t, calm+"/store", calm)
	equal(t, look(t, dir+"/store", dir), want)
	if whole := undisturbed(t); whole.chain != want.chain || whole.state == want.state {
		t.Errorf("state %s, chain %s; of one shard %s, %s: want another state and the same batches",
			want.state, want.chain, whole.state, whole.chain)
	}
}

// A stopped process whose run another one has taken and ended cannot commit
// when it goes on: it ends by itself, and its run is as the other one left it.
func TestStoppedProcessIsFenced(t *testing.T) {
	dir := t.TempDir()
	store := dir + "/store"
	asleep := make(chan bool, 1)
	var once sync.Once
	zombie := program(t, nil, drowsy(func(p *process, e protocol.Event) {
		if e.Type == protocol.EventCheckpoint {
			once.Do(func() { p.signal(syscall.SIGSTOP); asleep <- true })
		}
	}), short(store, dir)...)
	select {
	case <-asleep:
	case <-time.After(processDeadline):
		t.Fatal("no checkpoint")
	}
	successor := program(t, nil, nil, short(store, dir)...)
	if code := successor.end(); code != protocol.ExitDone {
		t.Fatalf("exit code %d\n%s", code, successor.stderr.String())
	}
	head := func() string {
		text, err := os.ReadFile(filepath.Join(store, "runs", "r", "HEAD.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := head()
	zombie.signal(syscall.SIGCONT)
	code := zombie.end()
	last := zombie.events.all[len(zombie.events.all)-1]
	if code != protocol.ExitFenced || last.Type != protocol.EventError || !strings.Contains(last.Message, "another attempt owns this run") {
		t.Errorf("exit code %d, last event %+v\n%s", code, last, zombie.stderr.String())
	}
	for _, e := range zombie.events.all {
		if e.Total > 0 && e.Step >= e.Total {
			t.Fatal("it trained to the end")
		}
	}
	if head() != before {
		t.Errorf("HEAD was\n%s\nand is\n%s", before, head())
	}
	same(t, store, dir)
}
