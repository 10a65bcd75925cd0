// Package metrics offers what a worker counts to Prometheus: the SDK's own
// metrics and the goodput. It measures nothing itself.
package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.temporal.io/sdk/client"
)

// Registry keeps the metrics of one process. Safe for concurrent use.
type Registry struct {
	prometheus *prometheus.Registry

	mu      sync.Mutex
	metrics map[string]prometheus.Metric // by kind, name and labels
}

// New is a registry with the Go runtime's and the process's own metrics.
func New() *Registry {
	r := &Registry{prometheus: prometheus.NewRegistry(), metrics: map[string]prometheus.Metric{}}
	r.prometheus.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), r)
	return r
}

// Describe says nothing, which makes the registry ask only Collect: the SDK gives
// one metric different labels at different places.
func (r *Registry) Describe(chan<- *prometheus.Desc) {}

// Collect sends everything that was counted so far.
func (r *Registry) Collect(out chan<- prometheus.Metric) {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.metrics))
	r.mu.Unlock()
	for _, m := range all {
		out <- m
	}
}

// metric is the one of this kind, name and labels, made where it is new.
func metric[M prometheus.Metric](r *Registry, kind, name string, labels map[string]string, make func(prometheus.Opts) M) M {
	var key strings.Builder
	key.WriteString(kind + "\x00" + name)
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		key.WriteString("\x00" + k + "\x00" + labels[k])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.metrics[key.String()].(M); ok {
		return m
	}
	m := make(prometheus.Opts{Name: clean(name), Help: help(name), ConstLabels: labels})
	r.metrics[key.String()] = m
	return m
}

// clean makes a name or label of what Prometheus allows.
func clean(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
}

// Handler is the registry as the SDK's client option MetricsHandler.
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
	return counter{metric(h.r, "counter", name, h.labels, func(o prometheus.Opts) prometheus.Counter { return prometheus.NewCounter(prometheus.CounterOpts(o)) })}
}

func (h handler) Gauge(name string) client.MetricsGauge {
	return gauge{metric(h.r, "gauge", name, h.labels, func(o prometheus.Opts) prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts(o)) })}
}

// Timer counts durations in seconds, from a millisecond to an hour.
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
