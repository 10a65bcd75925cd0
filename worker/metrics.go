package worker

import (
	"context"

	"go.temporal.io/sdk/client"

	"trmsweep/internal/guard"
	"trmsweep/internal/metrics"
)

// serveMetrics listens at the options' address, if any, and returns the setting
// that makes a client count for it.
func serveMetrics(ctx context.Context, o Options) (func(*client.Options), error) {
	if o.MetricsAddress == "" {
		return func(*client.Options) {}, nil
	}
	g, err := guard.New(o.AllowHosts...)
	if err != nil {
		return nil, err
	}
	registry, err := metrics.New()
	if err != nil {
		return nil, err
	}
	address, err := registry.Serve(ctx, o.MetricsAddress, g)
	if err != nil {
		return nil, err
	}
	o.Logger.Info("metrics served", "url", "http://"+address+"/metrics")
	return func(c *client.Options) { c.MetricsHandler = registry.Handler() }, nil
}
