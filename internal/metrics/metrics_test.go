package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"trmsweep/internal/guard"
	"trmsweep/internal/metrics"
)

func scrape(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", resp.Status, data, err)
	}
	return string(data)
}

func local(t *testing.T) *guard.Guard {
	t.Helper()
	g, err := guard.New()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGuarded(t *testing.T) {
	address, err := registry(t).Serve(t.Context(), "127.0.0.1:0", local(t))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a rebound name: %s", resp.Status)
	}
}

func registry(t *testing.T) *metrics.Registry {
	t.Helper()
	r, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestScrape(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	r := registry(t)
	address, err := r.Serve(ctx, "127.0.0.1:0", local(t))
	if err != nil {
		t.Fatal(err)
	}
	h := r.Handler()
	l := metrics.Goodput{Sweep: "night", Phase: "ablations", Experiment: "e2_2_t2_n2", LostSteps: 7, Preemptions: 2, Goodput: 0.75,
		Seconds: map[string]float64{"queued": 20, "training": 60, "lost": 20}}
	l.Publish(h)
	l.Seconds["training"] = 90.5 // later
	l.Publish(h)
	// As the SDK does: one name with labels of different places, odd characters, timers.
	h.WithTags(map[string]string{"operation": "Poll"}).Counter("temporal_request").Inc(3)
	h.WithTags(map[string]string{"operation": "Poll", "worker-type": "x"}).Counter("temporal_request").Inc(1)
	h.WithTags(map[string]string{"operation": "Poll"}).Counter("temporal_request").Inc(2)
	h.Timer("temporal_request_latency").Record(300 * time.Millisecond)

	text := scrape(t, address)
	for _, want := range []string{
		`trmsweep_slot_seconds{bucket="training",experiment="e2_2_t2_n2",phase="ablations",sweep="night"} 90.5`,
		`trmsweep_slot_seconds{bucket="queued",experiment="e2_2_t2_n2",phase="ablations",sweep="night"} 20`,
		`trmsweep_goodput_ratio{experiment="e2_2_t2_n2",phase="ablations",sweep="night"} 0.75`,
		`trmsweep_lost_steps{experiment="e2_2_t2_n2",phase="ablations",sweep="night"} 7`,
		`trmsweep_preemptions{experiment="e2_2_t2_n2",phase="ablations",sweep="night"} 2`,
		"# TYPE trmsweep_slot_seconds gauge",
		`temporal_request{operation="Poll"} 5`, `temporal_request{operation="Poll",worker_type="x"} 1`,
		`temporal_request_latency_bucket{le="0.5"} 1`, "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestServeTakenAddress(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	address, err := registry(t).Serve(ctx, "127.0.0.1:0", local(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry(t).Serve(ctx, address, local(t)); err == nil || !strings.Contains(err.Error(), "--metrics-address") {
		t.Errorf("taken address: %v", err)
	}
}

// OpenTelemetry's own limit is 2000 series of one name.
func TestEveryExperimentOfALargeSweepIsCounted(t *testing.T) {
	r := registry(t)
	address, err := r.Serve(t.Context(), "127.0.0.1:0", local(t))
	if err != nil {
		t.Fatal(err)
	}
	h := r.Handler()
	for i := range 2500 {
		metrics.Goodput{Sweep: "s", Experiment: fmt.Sprintf("e%d", i), LostSteps: 1}.Publish(h)
	}
	text := scrape(t, address)
	if n := strings.Count(text, "\ntrmsweep_lost_steps{"); n != 2500 || strings.Contains(text, "overflow") {
		t.Errorf("%d of 2500 experiments are served", n)
	}
}
