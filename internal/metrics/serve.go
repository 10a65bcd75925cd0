package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"trmsweep/internal/guard"
)

// Serve answers GET /metrics, behind the guard, at an address (host:port, port 0 =
// a free one) until ctx ends. It returns once it listens, with the address it has;
// an address that is taken is an error.
func (r *Registry) Serve(ctx context.Context, address string, g *guard.Guard) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("serve metrics at %s: %w; choose another --metrics-address", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.prometheus, promhttp.HandlerOpts{}))
	s := &http.Server{Handler: g.Handler(mux), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() {
		defer stop()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			_ = s.Close()
		}
	}()
	return l.Addr().String(), nil
}
