package worker

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
)

func TestServeMetrics(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var said strings.Builder
	o := Options{MetricsAddress: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(&said, nil))}
	set, err := serveMetrics(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	var opts client.Options
	set(&opts)
	opts.MetricsHandler.Counter("temporal_request").Inc(4)
	resp, err := http.Get(regexp.MustCompile(`http://\S*`).FindString(said.String()))
	if err != nil {
		t.Fatalf("%v after %s", err, said.String())
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), "\ntemporal_request 4\n") {
		t.Errorf("%v:\n%s", err, text)
	}

	o.MetricsAddress = "127.0.0.1:-1"
	if _, err := serveMetrics(ctx, o); err == nil || !strings.Contains(err.Error(), "--metrics-address") {
		t.Errorf("an impossible address: %v", err)
	}
	o.MetricsAddress = ""
	if set, err = serveMetrics(ctx, o); err != nil {
		t.Fatal(err)
	}
	opts = client.Options{}
	if set(&opts); opts.MetricsHandler != nil {
		t.Error("counts for nobody")
	}
}
