package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"trmsweep/internal/backend"
	"trmsweep/internal/blob"
	"trmsweep/internal/checkpoint"
	"trmsweep/internal/dataset"
	"trmsweep/internal/experiment"
	"trmsweep/internal/protocol"
	"trmsweep/internal/train"
)

func TestTrainExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, protocol.ExitDone},
		{train.ErrPreempted, protocol.ExitPreempted},
		{checkpoint.ErrFenced, protocol.ExitFenced},
		{errors.Join(blob.ErrTransient, checkpoint.ErrFenced), protocol.ExitFenced},
		{train.ErrDiverged, protocol.ExitFinal},
		{checkpoint.ErrAllBad, protocol.ExitFinal},
		{checkpoint.ErrFormat, protocol.ExitFinal},
		{train.ErrMismatch, protocol.ExitUsage},
		{train.ErrUnfinishedImport, protocol.ExitUsage},
		{dataset.ErrInput, protocol.ExitUsage},
		{backend.ErrUnavailable, protocol.ExitUsage},
		{backend.ErrOpen, protocol.ExitFailed},
		{fmt.Errorf("%w: %w", backend.ErrOpen, backend.ErrBusy), protocol.ExitBusy},
		{experiment.Faults{{Key: "lr", Msg: "is odd"}}, protocol.ExitUsage},
		{blob.ErrTransient, protocol.ExitFailed},
		{context.Canceled, protocol.ExitFailed},
		{errors.New("no space left on device"), protocol.ExitFailed},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("run r: %w", err)
		}
		if got := trainExit(err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", err, got, c.want)
		}
	}
}

// metadataServer is a machine of Google Cloud that is taken back when told.
func metadataServer(t *testing.T, taken <-chan struct{}) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		name := strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/")
		value, ok := map[string]string{"instance/preempted": "FALSE", "instance/maintenance-event": "NONE"}[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		tag := "1"
		if r.URL.Query().Get("last_etag") == "1" {
			if name != "instance/preempted" {
				<-r.Context().Done()
				return
			}
			select {
			case <-taken:
				value, tag = "TRUE", "2"
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("ETag", tag)
		_, _ = w.Write([]byte(value))
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(s.URL, "http://"))
}

// A notice, from a signal or the metadata server, saves the current step and
// ends with exit code 3; the next attempt goes on from that very step.
func TestTrainSavesAtNotice(t *testing.T) {
	for _, by := range []string{"signal", "metadata"} {
		t.Run(by, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"train", "e2_2_t2_n2", "--backend", "cpu", "--state", dir, "--store", dir + "/store", "--run", "r"},
				tiny("epochs=100000", "eval_interval_epochs=100000")...)
			taken := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tell, reason := func() { cancel() }, "signal"
			if by == "signal" {
				args = append(args, "--no-metadata")
			} else {
				metadataServer(t, taken)
				tell, reason = func() { close(taken) }, "preempted"
			}
			var once sync.Once
			l := &lines{}
			l.hear = func(e protocol.Event) {
				if e.Type == protocol.EventProgress && e.State == protocol.StateTraining && e.Step > 0 {
					once.Do(tell)
				}
			}
			var errs bytes.Buffer
			code := execute(ctx, args, l, &errs)
			last := l.all[len(l.all)-1]
			if code != protocol.ExitPreempted || last.Type != protocol.EventResult || last.Step == 0 || l.count(protocol.EventNotice) != 1 ||
				!strings.Contains(errs.String(), reason) {
				t.Fatalf("exit code %d, last event %+v\n%s", code, last, errs.String())
			}
			l = &lines{hear: func(protocol.Event) {}}
			code = execute(t.Context(), append(args, "--no-metadata", "--max-steps", fmt.Sprint(last.Step+1)), l, &errs)
			end := l.all[len(l.all)-1]
			if code != protocol.ExitDone || end.RestoredFrom != last.Step || end.Step != last.Step+1 {
				t.Errorf("exit code %d, restored from step %d, ended at %d; the notice saved step %d", code, end.RestoredFrom, end.Step, last.Step)
			}
		})
	}
}
