package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"trmsweep/internal/backend"
	"trmsweep/internal/plugins"
)

func newBackendCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backend",
		Short: "List what can compute here, and install XLA's plugins",
		Long: `Backends "cpu" and "go" are in this program. Those of XLA are plugins, shared
libraries that are installed once, by ` + "`trmsweep backend install`" + `, and never while
something trains. Installed plugins are in the user's cache, ~/.cache/trmsweep/plugins
on Linux, shared by all state folders; environment TRMSWEEP_PLUGINS names another
folder, and PJRT_PLUGIN_LIBRARY_PATH folders to use instead of all usual ones.`,
	}
	cmd.AddCommand(newBackendListCmd(a), newBackendInstallCmd(a), newBackendPathCmd(a))
	return cmd
}

// backendRow is a backend as `backend list` shows it.
type backendRow struct {
	Name      string   `json:"name"`
	Version   string   `json:"version,omitempty"`  // that `install` installs
	Licences  []string `json:"licences,omitempty"` // of what `install` installs
	Installed bool     `json:"installed"`          // by `install`, in that version
	Path      string   `json:"path,omitempty"`     // of the plugin that the name stands for, wherever it came from
	API       string   `json:"pjrt_api,omitempty"` // its version
	Opens     bool     `json:"opens"`              // here and now
	Detail    string   `json:"detail"`             // what it is, or why it does not open
	Devices   []string `json:"devices,omitempty"`
}

func newBackendListCmd(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the backends, the plugins that can be installed, and which open on this machine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := backendRows(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(rows)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "BACKEND\tPINNED\tINSTALLED\tPJRT\tOPENS\tWHAT IT IS, OR WHY NOT")
			for _, r := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, dash(r.Version), yes(r.Installed), dash(r.API), yes(r.Opens), r.Detail)
			}
			return w.Flush()
		},
	}
	addJSON(cmd.Flags(), &asJSON)
	return cmd
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// backendRows are the rows of `backend list`. Every backend is opened in a process of its own.
func backendRows(ctx context.Context) ([]backendRow, error) {
	dir, err := plugins.Dir()
	if err != nil {
		return nil, err
	}
	var rows []backendRow
	for _, p := range plugins.Known {
		r := backendRow{Name: p.Backend, Version: p.Version(), Licences: p.Licences(), Installed: p.Installed(dir)}
		found, err := backend.Find(p.Name())
		if err != nil {
			r.Detail = fmt.Sprintf("not installed: `trmsweep backend install %s` fetches %d MB", p.Backend, p.Size()/1e6)
		} else {
			r.Path = found.Path
		}
		if r.Path == p.Path(dir) {
			r.API = p.API
		}
		if none := found.NoDevice(); none != nil {
			r.Detail = none.Error()
		}
		rows = append(rows, r)
	}
	for _, p := range backend.Plugins() {
		if _, err := plugins.Find("xla:" + p.Name); err != nil {
			rows = append(rows, backendRow{Name: "xla:" + p.Name, Path: p.Path})
		}
	}
	rows = append(rows, backendRow{Name: "cpu", Installed: true}, backendRow{Name: "go", Installed: true})
	var opening sync.WaitGroup
	for i := range rows {
		if rows[i].Detail == "" {
			opening.Go(func() { rows[i].open(ctx) })
		}
	}
	opening.Wait()
	return rows, ctx.Err()
}

// open tries the backend.
func (r *backendRow) open(ctx context.Context) {
	info, err := probe(ctx, r.Name, nil)
	if err != nil {
		r.Detail = strings.TrimPrefix(err.Error(), r.Name+": ")
		return
	}
	r.Opens, r.Detail, r.Devices = true, info.Description, info.DeviceNames
	if info.API != "" {
		r.API = info.API
	}
}

func newBackendInstallCmd(a *app) *cobra.Command {
	var wheels []string
	cmd := &cobra.Command{
		Use:   "install NAME",
		Short: "Install the plugin of xla:cpu, xla:tpu or xla:cuda",
		Long: `Have pip download the pinned wheels of a plugin, from whatever index it is set up
for, check their SHA-256, and unzip the library and its licences. It is done at
once where the plugin is installed already. Without pip or its index give the
files, fetched elsewhere, with --wheel (repeatable).`,
		Example: "  trmsweep backend install xla:cpu\n" +
			"  trmsweep backend install xla:tpu --wheel libtpu-0.0.52-cp311-cp311-manylinux_2_31_x86_64.whl",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := plugins.Find(args[0])
			if err != nil {
				return usageError{err}
			}
			dir, err := plugins.Dir()
			if err != nil {
				return err
			}
			log := func(line string) { fmt.Fprintln(a.stderr, line) }
			res, err := p.Install(cmd.Context(), plugins.Options{Dir: dir, Wheels: wheels, Log: log})
			if err != nil {
				return fmt.Errorf("install %s: %w", p.Backend, err)
			}
			did := "installed"
			if res.Already {
				did = "was installed already"
			}
			fmt.Fprintf(a.stdout, "%s %s %s: %s\n", p.Backend, p.Version(), did, p.What)
			fmt.Fprintf(a.stdout, "licence: %s (the texts lie beside it)\n%s\n", strings.Join(p.Licences(), ", "), res.Path)
			if used, err := backend.Find(p.Name()); err == nil && used.Path != res.Path {
				fmt.Fprintf(a.stderr, "note: %s still stands for %s, which the environment names\n", p.Backend, used.Path)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&wheels, "wheel", nil, "wheel to install from instead of asking pip (repeatable)")
	return cmd
}

func newBackendPathCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "path NAME",
		Short: "Print the file of the plugin that xla:cpu, xla:tpu, xla:cuda or another name stands for",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, ok := strings.CutPrefix(args[0], "xla:")
			if !ok {
				return usageError{fmt.Errorf("%q has no plugin; those that have one are %s and the like", args[0], plugins.Known[0].Backend)}
			}
			p, err := backend.Find(name)
			if err = errors.Join(err, p.Err); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, p.Path)
			return err
		},
	}
}
