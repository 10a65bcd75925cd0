package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"trmsweep/internal/blob"
)

// commitTry is one try to commit a snapshot, with the objects that it may have left.
type commitTry struct {
	id      string
	keys    []string
	m       *Manifest // nil before the manifest was sent
	logs    logSizes  // of what it would commit: the pending bytes and its own
	dropped []Entry   // what HEAD no longer lists if it is committed
}

// Save commits a snapshot: files, then MANIFEST, then HEAD. When it returns an
// error the commit before is still live, or this one is if its manifest was stored;
// the next Save finds out whether HEAD lists it. Log bytes of a failed Save go into the next.
// Where the store is full, checkpoints are deleted first that this commit makes superfluous.
// Errors: ErrFenced (final), blob.ErrTransient (call again, with a newer snapshot if there is one).
func (w *Writer) Save(ctx context.Context, s Snapshot) (Commit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	start := time.Now()
	if s.Check != nil {
		if err := s.Check(s.State); err != nil {
			return Commit{}, fmt.Errorf("save step %d: %w", s.Step, err)
		}
	}
	s.created = w.now().UTC()
	for try := 0; ; try++ {
		var c Commit
		err := w.settle(ctx)
		if err == nil {
			c, err = w.commitWithRoom(ctx, &s)
		}
		if err == nil {
			c.Took = time.Since(start)
			w.deleteUnlisted(ctx)
			return c, nil
		}
		if errors.Is(err, errLate) && try < 2 {
			s.Ticket = Ticket{}
			continue
		}
		if errors.Is(err, ErrFenced) {
			w.deleteFailed(ctx)
			return Commit{}, fmt.Errorf("save step %d: %w", s.Step, err)
		}
		w.pending.metrics = append(w.pending.metrics, s.MetricsJSONL...)
		w.pending.tfevents = append(w.pending.tfevents, s.TFEvents...)
		return Commit{}, fmt.Errorf("save step %d: %w", s.Step, err)
	}
}

// settle makes sure that the run is still this writer's, before it leaves
// anything behind, and learns the fate of saves whose outcome is unknown.
func (w *Writer) settle(ctx context.Context) error {
	h, attr, err := readHead(ctx, w.b)
	if err != nil {
		return w.lost(err)
	}
	if err := w.mine(h); err != nil {
		return err
	}
	w.adopt(h, attr)
	w.failed = slices.DeleteFunc(w.failed, func(a *commitTry) bool {
		for _, e := range h.Entries {
			if e.Manifest == "ckpt/"+a.id+"/"+manifestName && a.m != nil {
				w.parent, w.pentry = a.m, e
				w.pending.drop(a.logs)
				w.trash = append(w.trash, a.dropped...)
				return true
			}
		}
		return false
	})
	return nil
}

func (w *Writer) commit(ctx context.Context, s Snapshot) (Commit, error) {
	world := max(s.Meta.WorldSize, 1)
	s.Meta.WorldSize = world
	if w.parent != nil && s.Step < w.parent.Step {
		return Commit{}, fmt.Errorf("step %d is before the last commit's step %d", s.Step, w.parent.Step)
	}
	t := s.Ticket
	if t.ID == "" {
		if world > 1 {
			return Commit{}, fmt.Errorf("a world of %d needs a ticket from Begin, so that every rank writes to one place", world)
		}
		t = w.Begin(s.Step)
	}
	if t.Step != s.Step || t.Term != w.term {
		return Commit{}, fmt.Errorf("ticket %s does not belong to step %d of term %d", t.ID, s.Step, w.term)
	}
	a := &commitTry{id: t.ID, logs: logSizes{len(w.pending.metrics) + len(s.MetricsJSONL), len(w.pending.tfevents) + len(s.TFEvents)}}
	w.failed = append(w.failed, a)
	m := Manifest{
		Format: Format, Commit: t.ID, Step: s.Step, Term: w.term, Owner: w.owner, Created: s.created,
		Milestone: s.Milestone, Meta: s.Meta,
	}
	digest := make(chan string, 1)
	go func() { digest <- s.State.SHA256() }()
	if w.parent != nil {
		m.Parent = w.pentry.Manifest
		m.Metrics, m.TFEvents = slices.Clone(w.parent.Metrics), slices.Clone(w.parent.TFEvents)
	}
	bytes, err := w.putFiles(ctx, a, t, s, &m)
	m.StateSHA256 = <-digest // also after an error: the state is the caller's again when Save returns
	if err != nil {
		return Commit{}, err
	}
	n, err := w.putLogs(ctx, a, s, &m)
	if err != nil {
		return Commit{}, err
	}
	bytes += n
	if err := w.Check(ctx); err != nil { // without a manifest the files can still be taken back
		return Commit{}, err
	}
	e, n, err := w.putManifest(ctx, a, m)
	if err != nil {
		return Commit{}, err
	}
	bytes += n
	err = w.swap(ctx, func(h *Head) {
		h.Entries = append(h.Entries, e)
		markBest(h.Entries, s.Meta.BestStep)
		h.Entries, a.dropped = prune(h.Entries, w.keep)
	})
	if err != nil {
		return Commit{}, err
	}
	w.failed = slices.DeleteFunc(w.failed, func(x *commitTry) bool { return x == a })
	w.trash = append(w.trash, a.dropped...)
	w.parent, w.pentry, w.pending = &m, e, logs{}
	entry := w.head.Entries[len(w.head.Entries)-1]
	return Commit{ID: t.ID, Step: s.Step, Term: w.term, Entry: entry, Bytes: bytes, StateSHA256: m.StateSHA256}, nil
}

// putFiles stores rank 0's state and the shards, and collects the other ranks' receipts.
func (w *Writer) putFiles(ctx context.Context, a *commitTry, t Ticket, s Snapshot, m *Manifest) (int64, error) {
	once, parts, err := cutShards(s.State, s.Shards)
	if err != nil {
		return 0, err
	}
	m.Shards = len(parts)
	for k := range parts {
		a.keys = append(a.keys, t.dir()+shardName(k, len(parts)))
	}
	a.keys = append(a.keys, t.dir()+stateName(0, m.Meta.WorldSize))
	f, err := putState(ctx, w.b, t, 0, m.Meta.WorldSize, once)
	if err != nil {
		return 0, err
	}
	n := f.Size
	m.Files = append(m.Files, f)
	shards, err := putShards(ctx, w.b, t, parts)
	if err != nil {
		return 0, err
	}
	for _, f := range shards {
		n += f.Size
	}
	m.Files = append(m.Files, shards...)
	others, err := w.collect(ctx, a, t, m.Meta.WorldSize)
	m.Files = append(m.Files, others...)
	return n, err
}

// putLogs stores what was logged since the last commit.
func (w *Writer) putLogs(ctx context.Context, a *commitTry, s Snapshot, m *Manifest) (int64, error) {
	var n int64
	name, err := parseID(a.id)
	if err != nil {
		return 0, err
	}
	events := fmt.Sprintf("tb/events.out.tfevents.%012d.%06d-%s", name.step, name.term, name.nonce)
	for _, l := range []struct {
		key  string
		data []byte
		list *[]Chunk
	}{
		{"metrics/" + a.id + ".jsonl", slices.Concat(w.pending.metrics, s.MetricsJSONL), &m.Metrics},
		{events, slices.Concat(w.pending.tfevents, s.TFEvents), &m.TFEvents},
	} {
		if len(l.data) == 0 {
			continue
		}
		a.keys = append(a.keys, l.key)
		attr, sum, err := putNew(ctx, w.b, l.key, bytes.NewReader(l.data), int64(len(l.data)))
		if err != nil {
			return 0, err
		}
		n += attr.Size
		*l.list = append(*l.list, Chunk{Key: l.key, Step: s.Step, Size: attr.Size, CRC32C: attr.CRC32C, SHA256: sum, Generation: attr.Generation})
	}
	return n, nil
}

func (w *Writer) putManifest(ctx context.Context, a *commitTry, m Manifest) (Entry, int64, error) {
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return Entry{}, 0, fmt.Errorf("encode manifest: %w", err)
	}
	data = append(data, '\n')
	key := "ckpt/" + a.id + "/" + manifestName
	a.keys, a.m = append(a.keys, key), &m
	attr, sum, err := putNew(ctx, w.b, key, bytes.NewReader(data), int64(len(data)))
	if errors.Is(err, blob.ErrFull) { // it is certain that it is not there
		a.m = nil
	}
	if err != nil {
		return Entry{}, 0, err
	}
	return entryOf(m, attr.Generation, sum), attr.Size, nil
}

// putNew stores an object whose name only this writer can choose. If it is
// there already with the same content, an earlier try has succeeded unheard.
func putNew(ctx context.Context, b blob.Bucket, key string, body io.ReaderAt, size int64) (blob.Attr, string, error) {
	sha, crc := sha256.New(), crc32.New(blob.Castagnoli)
	hashed := make(chan error, 1)
	go func() { // beside the upload
		_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(sha, crc)}, io.NewSectionReader(body, 0, size), make([]byte, 256<<10))
		hashed <- err
	}()
	attr, err := b.Put(ctx, key, body, size, blob.Absent)
	if herr := <-hashed; herr != nil {
		return blob.Attr{}, "", fmt.Errorf("hash %s: %w", key, herr)
	}
	if err != nil {
		if there, serr := b.Stat(ctx, key); serr == nil && there.Size == size && there.CRC32C == crc.Sum32() {
			attr, err = there, nil
		}
	}
	if err != nil {
		return blob.Attr{}, "", fmt.Errorf("write %s: %w", key, err)
	}
	if attr.Size != size || attr.CRC32C != crc.Sum32() {
		return blob.Attr{}, "", fmt.Errorf("write %s: stored %d bytes with CRC32C %08x where %d with %08x were sent: %w (%w)",
			key, attr.Size, attr.CRC32C, size, crc.Sum32(), blob.ErrCorrupt, blob.ErrTransient)
	}
	return attr, hex.EncodeToString(sha.Sum(nil)), nil
}
