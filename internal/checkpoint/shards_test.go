package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/mem"
	"trmsweep/internal/tensor"
)

// shardedSnap is a state with 8 slots in 4 shards.
func shardedSnap(step int64) Snapshot {
	b := byte(step)
	s := snap(step)
	s.Shards = 4
	s.State = tensor.State{
		"param/w":      {DType: tensor.F32, Shape: []int{2, 3}, Data: bytes.Repeat([]byte{b, 1, 2, 3}, 6)},
		"carry/z_H":    {DType: tensor.BF16, Shape: []int{8, 1}, Data: []byte{b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		"carry/halted": {DType: tensor.Bool, Shape: []int{8}, Data: []byte{1, 0, b & 1, 0, 1, 1, 0, 0}},
	}
	return s
}

func saveShards(t *testing.T, w *Writer, step int64) {
	t.Helper()
	c, err := w.Save(t.Context(), shardedSnap(step))
	if err != nil {
		t.Fatal(err)
	}
	if want := shardedSnap(step).State.SHA256(); c.StateSHA256 != want {
		t.Errorf("state_sha256 %s, want that of the whole state, %s", c.StateSHA256, want)
	}
}

func wantShards(t *testing.T, b blob.Bucket, step int64) *Writer {
	t.Helper()
	w := acquire(t, b)
	c, err := w.Restore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shardedSnap(step).State, c.State); diff != "" {
		t.Errorf("restored state (-want +got):\n%s", diff)
	}
	return w
}

func TestShardsAreFilesOfTheirOwn(t *testing.T) {
	b := mem.New(nil)
	saveShards(t, acquire(t, b), 3)
	wantShards(t, b, 3)
	h, err := ReadHead(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadManifest(t.Context(), b, h.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range m.Files {
		arrays := ""
		for _, a := range f.Tensors {
			arrays += fmt.Sprintf(" %s%v", a.Name, a.Shape)
		}
		got = append(got, f.Kind+" "+f.Name+arrays)
	}
	want := []string{"state rank-00000-of-00001.safetensors param/w[2 3]"}
	for k := range 4 {
		want = append(want, fmt.Sprintf("shard shard-%05d-of-00004.safetensors carry/z_H[2 1] carry/halted[2]", k))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if r, err := Verify(t.Context(), b); err != nil || !r.OK {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

// A crash at any write leaves the checkpoint before it, or this one if its manifest was stored.
func TestCrashAtEveryWriteOfShards(t *testing.T) {
	const all = writes + 4
	for at := 1; at <= all; at++ {
		b := mem.New(nil)
		w := acquire(t, b)
		saveShards(t, w, 1)
		w.b = &faulty{Bucket: b, at: at}
		if _, err := w.Save(t.Context(), shardedSnap(2)); !errors.Is(err, blob.ErrTransient) {
			t.Fatalf("write %d: %v", at, err)
		}
		step := int64(1)
		if at == all { // the manifest is there
			step = 2
		}
		w = wantShards(t, b, step)
		saveShards(t, w, 3)
		if _, err := w.CleanAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), b)
		if err != nil || !r.OK || len(r.Orphans) > 0 {
			t.Errorf("write %d: verify: %+v, %v", at, r, err)
		}
	}
}

// Damage to one shard is damage to the checkpoint: verify names it, and an older one is restored.
func TestDamageToAShard(t *testing.T) {
	for name, damage := range map[string]func(*mem.Bucket, string){
		"flipped": func(b *mem.Bucket, key string) { b.Tamper(key, func(d []byte) []byte { d[len(d)-1] ^= 1; return d }) },
		"missing": func(b *mem.Bucket, key string) { _ = b.Delete(t.Context(), key, blob.Any) },
		"another's": func(b *mem.Bucket, key string) {
			other, _, err := blob.ReadAll(t.Context(), b, strings.Replace(key, "shard-00002", "shard-00001", 1), 0)
			if err != nil {
				t.Fatal(err)
			}
			b.Tamper(key, func([]byte) []byte { return other })
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New(nil)
			w := acquire(t, b)
			saveShards(t, w, 1)
			saveShards(t, w, 2)
			damage(b, w.Head().Entries[1].dir()+shardName(2, 4))
			r, err := Verify(t.Context(), b)
			if err != nil || r.OK || len(r.Checkpoints[1].Faults) != 1 || !strings.Contains(r.Checkpoints[1].Faults[0], "shard-00002") {
				t.Errorf("verify: %+v, %v", r.Checkpoints, err)
			}
			wantShards(t, b, 1)
		})
	}
}

// TestShardFiles: a list of files that lacks a shard, or has one twice, is no checkpoint.
func TestShardFiles(t *testing.T) {
	for _, row := range []struct {
		name   string
		shards int
		have   []int
		ok     bool
	}{
		{"none", 0, nil, true},
		{"in another order", 4, []int{2, 0, 3, 1}, true},
		{"the last is missing", 4, []int{0, 1, 2}, false},
		{"the first is missing", 2, []int{1}, false},
		{"one twice", 2, []int{0, 0}, false},
		{"more", 2, []int{0, 1, 2}, false},
	} {
		m := Manifest{Shards: row.shards, Files: []File{{Kind: KindState}}}
		for _, k := range row.have {
			m.Files = append(m.Files, File{Kind: KindShard, Shard: k})
		}
		if _, err := m.shardFiles(); (err == nil) != row.ok {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// TestJoinShards: what was cut is the same again; shards that do not fit each other are an error.
func TestJoinShards(t *testing.T) {
	whole := shardedSnap(1).State
	for _, n := range []int{0, 1, 2, 4, 8} {
		once, parts, err := cutShards(whole, n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := joinShards(once, parts)
		if err != nil || got.SHA256() != whole.SHA256() {
			t.Errorf("%d shards: another state, %v", n, err)
		}
	}
	if _, _, err := cutShards(whole, 3); err == nil {
		t.Error("8 slots are cut into 3 shards")
	}
	once, parts, err := cutShards(whole, 2)
	if err != nil {
		t.Fatal(err)
	}
	delete(parts[1], "carry/halted")
	if _, err := joinShards(once, parts); err == nil {
		t.Error("a shard that lacks an array is joined")
	}
}
