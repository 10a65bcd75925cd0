package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
)

// Stack is devstack.json: where the running embedded stack listens.
type Stack struct {
	Temporal string `json:"temporal"` // host:port
	UI       string `json:"ui"`       // URL
	GCS      string `json:"gcs"`      // URL
	PID      int    `json:"pid"`
}

// ReadStack reads the state folder's devstack.json; fs.ErrNotExist where no stack was started.
func ReadStack(stateDir string) (Stack, error) {
	var s Stack
	file := filepath.Join(stateDir, "devstack.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return s, fmt.Errorf("read address of the stack: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", file, err)
	}
	return s, nil
}

// clientOptions are read anew at every try: a stack may come back elsewhere.
func clientOptions(stateDir string) (client.Options, error) {
	opts, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return opts, fmt.Errorf("Temporal's client settings: %w", err)
	}
	if opts.HostPort != "" {
		return opts, nil
	}
	opts.HostPort = client.DefaultHostPort
	s, err := ReadStack(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return opts, nil
	}
	if err != nil {
		return opts, err
	}
	if s.Temporal != "" {
		opts.HostPort = s.Temporal
	}
	return opts, nil
}
