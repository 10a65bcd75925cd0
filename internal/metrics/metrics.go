// Package metrics serves the counters of a worker to Prometheus: the metrics of the
// Temporal SDK and the goodput of experiments. It measures nothing itself; the SDK's
// OpenTelemetry handler and OpenTelemetry's Prometheus exporter do the counting.
package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/otlptranslator"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

// Registry holds the metrics of one process. It is safe for concurrent use.
type Registry struct {
	prometheus *prometheus.Registry
	provider   *metric.MeterProvider
}

// New makes a registry with the metrics of the Go runtime and of the process.
func New() (*Registry, error) {
	r := &Registry{prometheus: prometheus.NewRegistry()}
	r.prometheus.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(
		exporter.WithRegisterer(r.prometheus),
		// Names stay as they are given: no suffix _total or _seconds is added.
		exporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithoutSuffixes),
		exporter.WithoutScopeInfo(),
		exporter.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("offer metrics to Prometheus: %w", err)
	}
	seconds := []float64{0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 3600}
	options := []metric.Option{
		metric.WithReader(reader),
		metric.WithCardinalityLimit(0), // a sweep may have any number of experiments
		// The buckets of timers are in seconds and range from a millisecond to an hour.
		metric.WithView(metric.NewView(metric.Instrument{Kind: metric.InstrumentKindHistogram}, metric.Stream{
			Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: seconds},
		})),
	}
	for name, text := range help {
		options = append(options, metric.WithView(metric.NewView(metric.Instrument{Name: name}, metric.Stream{Description: text})))
	}
	r.provider = metric.NewMeterProvider(options...)
	return r, nil
}

// Handler returns the registry as a value for the SDK's client option MetricsHandler.
func (r *Registry) Handler() client.MetricsHandler {
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:                r.provider.Meter("trmsweep"),
		UseMonotonicCounters: true,
		OnError:              func(error) {}, // a metric that cannot be recorded must not stop a training
	})
}
