package preempt

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"cloud.google.com/go/compute/metadata"
)

// Host is this machine's place in a TPU slice.
type Host struct {
	Name            string // host name
	Instance        string // cloud instance id
	Pod             string // Kubernetes pod or TPU name
	AcceleratorType string
	Rank, World     int
	Addresses       []string // of all ranks, in order
}

// Identify reads the GKE environment (TPU_WORKER_ID, TPU_WORKER_HOSTNAMES), else
// the metadata server; outside a cloud the host is rank 0 of 1. An error says what contradicts.
func Identify(ctx context.Context) (Host, error) {
	name, err := os.Hostname()
	if err != nil {
		return Host{}, fmt.Errorf("read host name: %w", err)
	}
	h := Host{Name: name, Pod: os.Getenv("POD_NAME"), AcceleratorType: os.Getenv("TPU_ACCELERATOR_TYPE"), World: 1}
	id, names := os.Getenv("TPU_WORKER_ID"), os.Getenv("TPU_WORKER_HOSTNAMES")
	if id != "" || names != "" {
		return h.place("TPU_WORKER_ID", id, "TPU_WORKER_HOSTNAMES", splitList(names))
	}
	if !metadata.OnGCEWithContext(ctx) {
		return h, nil
	}
	attr := func(name string) string {
		v, err := metadata.InstanceAttributeValueWithContext(ctx, name)
		if err != nil {
			return "" // not every machine has every attribute
		}
		return strings.TrimSpace(v)
	}
	if v, err := metadata.InstanceIDWithContext(ctx); err == nil {
		h.Instance = v
	}
	h.AcceleratorType = attr("accelerator-type")
	if h.Pod == "" {
		h.Pod = tpuEnv(attr("tpu-env"), "NODE_ID")
	}
	var addresses []string
	for _, e := range splitList(attr("worker-network-endpoints")) {
		parts := strings.Split(e, ":") // host:uid:ip
		addresses = append(addresses, parts[len(parts)-1])
	}
	rank := attr("agent-worker-number")
	if rank == "" && len(addresses) == 0 {
		return h, nil
	}
	return h.place("agent-worker-number", rank, "worker-network-endpoints", addresses)
}

func (h Host) place(idName, id, listName string, addresses []string) (Host, error) {
	h.Addresses, h.World = addresses, max(len(addresses), 1)
	if id != "" {
		rank, err := strconv.Atoi(id)
		if err != nil {
			return Host{}, fmt.Errorf("%s is %q, not a number", idName, id)
		}
		h.Rank = rank
	} else if h.World > 1 {
		return Host{}, fmt.Errorf("%s lists %d hosts and %s is missing", listName, h.World, idName)
	}
	if h.Rank < 0 || h.Rank >= h.World {
		return Host{}, fmt.Errorf("%s is %d and %s lists %d hosts", idName, h.Rank, listName, len(addresses))
	}
	return h, nil
}

func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// tpuEnv finds a value in the lines KEY: 'value' of the attribute tpu-env.
func tpuEnv(env, key string) string {
	for line := range strings.Lines(env) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.Trim(strings.TrimSpace(v), "'\"")
		}
	}
	return ""
}
