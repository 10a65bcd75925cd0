// Package metrics serves the counters of a worker to Prometheus: the metrics of the Temporal
// SDK and the goodput of experiments. It measures nothing itself.
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

	mu      sync.Mutex
	metrics map[string]prometheus.Metric // key: kind, name and labels
}

// New makes a registry with the metrics of the Go runtime and of the process.
func New() *Registry {
	r := &Registry{prometheus: prometheus.NewRegistry(), metrics: map[string]prometheus.Metric{}}
	r.prometheus.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), r)
	return r
}

// Describe sends nothing, which makes the registry unchecked. That is necessary because the
// SDK gives the same metric different labels at different places.
func (r *Registry) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (r *Registry) Collect(out chan<- prometheus.Metric) {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.metrics))
	r.mu.Unlock()
	for _, m := range all {
		out <- m
	}
}

// metric returns the metric of this kind, name and labels. It makes the metric if it is new.
func metric[M prometheus.Metric](r *Registry, kind, name string, labels map[string]string, make func(prometheus.Opts) M) M {
	var key strings.Builder
	key.WriteString(kind + "\x00" + name)
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		key.WriteString("\x00" + k + "\x00" + labels[k])
	}
	for name, text := range help {
		options = append(options, metric.WithView(metric.NewView(metric.Instrument{Name: name}, metric.Stream{Description: text})))
	}
	m := make(prometheus.Opts{Name: clean(name), Help: help(name), ConstLabels: labels})
	r.metrics[key.String()] = m
	return m
}

// clean replaces the characters of a name or label that Prometheus does not allow by '_'.
func clean(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '_', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			return c
		}
		return '_'
	}, name)
}

// Handler returns the registry as a value for the SDK's client option MetricsHandler.
func (r *Registry) Handler() client.MetricsHandler { return handler{r: r} }

type handler struct {
	r      *Registry
	labels map[string]string
}

var _ client.MetricsHandler = handler{}

func (h handler) WithTags(tags map[string]string) client.MetricsHandler {
	labels := maps.Clone(h.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for k, v := range tags {
		labels[clean(k)] = v
	}
	return handler{h.r, labels}
}

func (h handler) Counter(name string) client.MetricsCounter {
	return counter{metric(h.r, "counter", name, h.labels, func(o prometheus.Opts) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(o))
	})}
}

func (h handler) Gauge(name string) client.MetricsGauge {
	return gauge{metric(h.r, "gauge", name, h.labels, func(o prometheus.Opts) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(o))
	})}
}

// Timer returns a histogram of durations in seconds, with buckets from a millisecond to an hour.
func (h handler) Timer(name string) client.MetricsTimer {
	return timer{metric(h.r, "timer", name, h.labels, func(o prometheus.Opts) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: o.Name, Help: o.Help, ConstLabels: o.ConstLabels,
			Buckets: []float64{0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 3600}})
	})}
}

type (
	counter struct{ prometheus.Counter }
	gauge   struct{ prometheus.Gauge }
	timer   struct{ prometheus.Histogram }
)

func (c counter) Inc(n int64)          { c.Add(float64(n)) }
func (g gauge) Update(x float64)       { g.Set(x) }
func (t timer) Record(d time.Duration) { t.Observe(d.Seconds()) }
