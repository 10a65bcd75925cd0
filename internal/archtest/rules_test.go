package archtest

// rule says which packages the files of a package must not import. It does not bind
// test files, which may import anything.
type rule struct {
	pkg string // the package's folder; the rule covers all packages below it too
	// deny are import path prefixes, made of whole path elements.
	deny []string
	// allow are exceptions from deny: longer prefixes that are permitted.
	allow []string
	// never are import path prefixes that are denied directly and through any chain of imports.
	never []string
	// planned says that the package need not exist yet.
	planned bool
	why     string // the reason, which failures and .golangci.yml repeat
}

// Groups of import path prefixes that several rules share.
var (
	ours     = []string{"trmsweep"}
	temporal = []string{"go.temporal.io", "github.com/temporalio"}
	server   = []string{"go.temporal.io/server"}
	gomlx    = []string{"github.com/gomlx/gomlx", "github.com/gomlx/go-xla"}
	storage  = []string{"cloud.google.com/go/storage", "google.golang.org/api/storage", "github.com/fsouza/fake-gcs-server"}
	plots    = []string{"trmsweep/internal/report", "gonum.org/v1/plot"}
	// libraries are the hosts of all modules other than the standard library.
	libraries = []string{"github.com", "golang.org", "google.golang.org", "gonum.org", "go.yaml.in", "cloud.google.com", "go.temporal.io"}
	above     = []string{"trmsweep/cmd", "trmsweep/worker", "trmsweep/workflows", "trmsweep/activities"}
)

var rules = []rule{
	{
		pkg:   "cmd/trmsweep",
		deny:  gomlx,
		never: server,
		why:   "the model is reached through internal/train and internal/trm; the server is another program",
	},
	{
		pkg:   "cmd/devstack",
		deny:  ours,
		allow: []string{"trmsweep/cmd/devstack", "trmsweep/internal/guard"},
		why:   "the server triples build time and size: it stays a module of its own, which requires nothing of the main one",
	},
	{
		pkg:   "cmd/tctl",
		deny:  join(above, []string{"trmsweep/internal/blob"}),
		never: join(gomlx, storage, server),
		why:   "a client knows names, nothing else",
	},
	{
		pkg: "workflows",
		deny: []string{
			"os", "net", "math/rand",
			"trmsweep/internal/train", "trmsweep/internal/blob", "trmsweep/internal/checkpoint", "trmsweep/worker", "trmsweep/cmd",
		},
		never: join(gomlx, storage, server),
		why:   "workflow code must be deterministic: whatever touches the world is an activity",
	},
	{
		pkg:   "activities",
		deny:  []string{"trmsweep/cmd", "trmsweep/worker", "trmsweep/workflows"},
		never: join(gomlx, storage, server),
		why:   "adapters between Temporal and pure packages; worker wires the concrete types",
	},
	{
		pkg:   "worker",
		deny:  []string{"trmsweep/cmd"},
		never: server,
		why:   "the direction is cmd -> worker -> workflows, activities",
	},
	{pkg: "configs", deny: ours, why: "files, no logic"},
	{
		pkg:   "internal/experiment",
		deny:  ours,
		allow: []string{"trmsweep/internal/layout"},
		never: join(temporal, gomlx, storage),
		why:   "the resolved spec is pure",
	},
	{pkg: "internal/sudoku", deny: join(ours, libraries), why: "the standard library only"},
	{pkg: "internal/guard", deny: join(ours, libraries), why: "the standard library only: both modules that serve HTTP use it"},
	{pkg: "internal/dataset", deny: above, never: join(temporal, gomlx), why: "rows in, rows out"},
	{
		pkg:   "internal/trm",
		deny:  join(above, []string{"os", "trmsweep/internal/blob", "trmsweep/internal/checkpoint"}),
		never: join(temporal, storage),
		why:   "a model computes; the loop around it keeps state",
	},
	{
		pkg:   "internal/cpu",
		deny:  ours,
		allow: []string{"trmsweep/internal/cpu"},
		never: join(temporal, storage),
		why:   "a GoMLX backend anyone could use",
	},
	{pkg: "internal/backend", deny: above, never: join(temporal, storage), why: "finds devices"},
	{
		pkg:   "internal/aot",
		deny:  above,
		never: join(temporal, storage),
		why:   "compiles; runs nothing and stores nothing but its cache",
	},
	{
		pkg:   "internal/tpu",
		deny:  ours,
		never: join(temporal, gomlx, storage),
		why:   "the worker and the backend both ask what a host is",
	},
	{
		pkg:   "internal/pjrt",
		deny:  ours,
		allow: []string{"trmsweep/internal/pjrt"},
		never: join(temporal, storage),
		why:   "stands between go-xla and a plugin, for any program",
	},
	{
		pkg:   "internal/plugins",
		deny:  ours,
		never: join(temporal, gomlx, storage),
		why:   "files in a cache; what is in them is internal/backend's",
	},
	{
		pkg:   "internal/train",
		deny:  above,
		never: join(temporal, storage, plots),
		why:   "a training process runs without an orchestrator, takes its bucket from outside and draws nothing",
	},
	{pkg: "internal/collective", deny: above, never: join(temporal, gomlx), planned: true, why: "sums bytes"},
	{
		pkg:   "internal/checkpoint",
		deny:  above,
		never: join(temporal, gomlx, storage),
		why:   "the commit protocol is over a contract, not over a service",
	},
	{
		pkg:   "internal/blob",
		deny:  ours,
		allow: []string{"trmsweep/internal/blob", "trmsweep/internal/wait"},
		never: join(temporal, gomlx),
		why:   "storage knows nothing of what it stores",
	},
	{
		pkg:   "internal/study",
		deny:  ours,
		allow: []string{"trmsweep/internal/experiment", "trmsweep/internal/protocol", "trmsweep/internal/preflight"},
		never: join(temporal, gomlx, storage, plots),
		why:   "what workflows decide by can be tested without Temporal",
	},
	{
		pkg:   "internal/standing",
		deny:  ours,
		allow: []string{"trmsweep/internal/protocol", "trmsweep/internal/study"},
		never: join(gomlx, storage, plots),
		why:   "it asks the Temporal server, for commands and activities",
	},
	{pkg: "internal/tensor", deny: ours, never: join(temporal, gomlx, storage), why: "the type in which the other packages exchange arrays"},
	{pkg: "internal/tfevents", deny: ours, never: join(temporal, gomlx, storage), why: "a file format"},
	{
		pkg:   "internal/supervise",
		deny:  ours,
		allow: []string{"trmsweep/internal/protocol", "trmsweep/internal/wait"},
		never: join(temporal, gomlx, storage),
		why:   "processes, whatever they are",
	},
	{pkg: "internal/wait", deny: join(ours, libraries), why: "a pause"},
	{pkg: "internal/clidoc", deny: ours, never: join(temporal, gomlx, storage), why: "describes commands, whosever they are"},
	{
		pkg:   "internal/localstack",
		deny:  ours,
		allow: []string{"trmsweep/internal/localstack", "trmsweep/internal/endpoint", "trmsweep/internal/supervise"},
		never: join(gomlx, storage, server),
		why:   "keeps processes; what they do is theirs",
	},
	{pkg: "internal/ask", deny: ours, never: join(gomlx, storage, server), why: "sends messages, whatever they say; every client shares it"},
	{pkg: "internal/hint", deny: join(ours, libraries), why: "the standard library only: texts"},
	{
		pkg:   "internal/request",
		deny:  above,
		never: join(gomlx, storage, server),
		why:   "clients that know no workflows check what is asked of them",
	},
	{pkg: "internal/terminal", deny: ours, never: join(temporal, gomlx, storage), why: "lines and widths, whatever they show"},
	{
		pkg:   "internal/endpoint",
		deny:  ours,
		never: join(gomlx, storage, server),
		why:   "says where a server is; clients and workers share it",
	},
	{
		pkg:   "internal/layout",
		deny:  ours,
		allow: []string{"trmsweep/internal/blob"},
		never: join(temporal, gomlx, storage, plots),
		why:   "makes keys, reads nothing",
	},
	{
		pkg:   "internal/protocol",
		deny:  ours,
		allow: []string{"trmsweep/internal/blob", "trmsweep/internal/experiment", "trmsweep/internal/layout"},
		never: join(temporal, gomlx, storage, plots),
		why:   "words that every process shares: whoever reads them needs neither the model nor the plots",
	},
	{pkg: "internal/queues", deny: ours, never: join(temporal, gomlx, storage), why: "names that every client shares"},
	{pkg: "internal/report", deny: above, never: join(temporal, gomlx, storage), why: "results in, pages out"},
	{
		pkg:   "internal/metrics",
		deny:  join(above, []string{"trmsweep/internal"}),
		allow: []string{"trmsweep/internal/guard", "trmsweep/internal/protocol"},
		never: join(gomlx, storage),
		why:   "counts what it is told; workflows and worker use it",
	},
	{pkg: "internal/preflight", deny: above, never: join(temporal, gomlx, storage), why: "checks are handed to it"},
}

func join(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
