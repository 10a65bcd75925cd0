package archtest

// rule says what the files of a room may not import. Tests are free: they may
// build what the product may not.
type rule struct {
	room string // folder, everything below it included
	// deny are import path prefixes, whole path elements.
	deny []string
	// allow are exceptions from deny, longer than what they except.
	allow []string
	// never are denied through any chain of imports too.
	never []string
	// planned rooms need not exist yet.
	planned bool
	why     string
}

// What the rules are about.
var (
	ours     = []string{"trmsweep"}
	temporal = []string{"go.temporal.io", "github.com/temporalio"}
	server   = []string{"go.temporal.io/server"}
	gomlx    = []string{"github.com/gomlx/gomlx", "github.com/gomlx/go-xla"}
	storage  = []string{"cloud.google.com/go/storage", "google.golang.org/api/storage", "github.com/fsouza/fake-gcs-server"}
	plots    = []string{"trmsweep/internal/report", "gonum.org/v1/plot"}
	// libraries are all but the standard one.
	libraries = []string{"github.com", "golang.org", "google.golang.org", "gonum.org", "go.yaml.in", "cloud.google.com", "go.temporal.io"}
	above     = []string{"trmsweep/cmd", "trmsweep/worker", "trmsweep/workflows", "trmsweep/activities"}
)

var rules = []rule{
	{room: "cmd/trmsweep", deny: gomlx, never: server, why: "the model is reached through internal/train and internal/trm; the server is another program"},
	{room: "cmd/devstack", deny: ours, allow: []string{"trmsweep/cmd/devstack", "trmsweep/internal/guard"}, why: "the server triples build time and size: it stays a module of its own, which requires nothing of the main one"},
	{room: "cmd/tctl", deny: join(above, []string{"trmsweep/internal/blob"}), never: join(gomlx, storage, server), why: "a client knows names, nothing else"},
	{room: "workflows", deny: join([]string{"os", "net", "math/rand", "trmsweep/internal/train", "trmsweep/internal/blob", "trmsweep/internal/checkpoint", "trmsweep/worker", "trmsweep/cmd"}),
		never: join(gomlx, storage, server), why: "workflow code must be deterministic: whatever touches the world is an activity"},
	{room: "activities", deny: []string{"trmsweep/cmd", "trmsweep/worker", "trmsweep/workflows"}, never: join(gomlx, storage, server), why: "adapters between Temporal and pure packages; worker wires the concrete types"},
	{room: "worker", deny: []string{"trmsweep/cmd"}, never: server, why: "the direction is cmd -> worker -> workflows, activities"},
	{room: "configs", deny: ours, why: "files, no logic"},
	{room: "internal/experiment", deny: ours, allow: []string{"trmsweep/internal/layout"}, never: join(temporal, gomlx, storage), why: "the resolved spec is pure"},
	{room: "internal/sudoku", deny: join(ours, libraries), why: "the standard library only"},
	{room: "internal/guard", deny: join(ours, libraries), why: "the standard library only: both modules that serve HTTP use it"},
	{room: "internal/dataset", deny: above, never: join(temporal, gomlx), why: "rows in, rows out"},
	{room: "internal/trm", deny: join(above, []string{"os", "trmsweep/internal/blob", "trmsweep/internal/checkpoint"}), never: join(temporal, storage), why: "a model computes; the loop around it keeps state"},
	{room: "internal/cpu", deny: ours, allow: []string{"trmsweep/internal/cpu"}, never: join(temporal, storage), why: "a GoMLX backend anyone could use"},
	{room: "internal/backend", deny: above, never: join(temporal, storage), why: "finds devices"},
	{room: "internal/aot", deny: above, never: join(temporal, storage), why: "compiles; runs nothing and stores nothing but its cache"},
	{room: "internal/tpu", deny: ours, never: join(temporal, gomlx, storage), why: "the worker and the backend both ask what a host is"},
	{room: "internal/pjrt", deny: ours, allow: []string{"trmsweep/internal/pjrt"}, never: join(temporal, storage), why: "stands between go-xla and a plugin, for any program"},
	{room: "internal/plugins", deny: ours, never: join(temporal, gomlx, storage), why: "files in a cache; what is in them is internal/backend's"},
	{room: "internal/train", deny: above, never: join(temporal, storage, plots), why: "a training process runs without an orchestrator, takes its bucket from outside and draws nothing"},
	{room: "internal/collective", deny: above, never: join(temporal, gomlx), planned: true, why: "sums bytes"},
	{room: "internal/checkpoint", deny: above, never: join(temporal, gomlx, storage), why: "the commit protocol is over a contract, not over a service"},
	{room: "internal/blob", deny: ours, allow: []string{"trmsweep/internal/blob", "trmsweep/internal/wait"}, never: join(temporal, gomlx), why: "storage knows nothing of what it stores"},
	{room: "internal/study", deny: ours, allow: []string{"trmsweep/internal/experiment", "trmsweep/internal/protocol", "trmsweep/internal/preflight"}, never: join(temporal, gomlx, storage, plots), why: "what workflows decide by can be tested without Temporal"},
	{room: "internal/tensor", deny: ours, never: join(temporal, gomlx, storage), why: "the currency of the other rooms"},
	{room: "internal/tfevents", deny: ours, never: join(temporal, gomlx, storage), why: "a file format"},
	{room: "internal/supervise", deny: ours, allow: []string{"trmsweep/internal/protocol", "trmsweep/internal/wait"}, never: join(temporal, gomlx, storage), why: "processes, whatever they are"},
	{room: "internal/wait", deny: join(ours, libraries), why: "a pause"},
	{room: "internal/clidoc", deny: ours, never: join(temporal, gomlx, storage), why: "describes commands, whosever they are"},
	{room: "internal/localstack", deny: ours, allow: []string{"trmsweep/internal/localstack", "trmsweep/internal/endpoint", "trmsweep/internal/supervise"}, never: join(gomlx, storage, server), why: "keeps processes; what they do is theirs"},
	{room: "internal/endpoint", deny: ours, never: join(gomlx, storage, server), why: "says where a server is; clients and workers share it"},
	{room: "internal/layout", deny: ours, allow: []string{"trmsweep/internal/blob"}, never: join(temporal, gomlx, storage, plots), why: "makes keys, reads nothing"},
	{room: "internal/protocol", deny: ours, allow: []string{"trmsweep/internal/blob", "trmsweep/internal/experiment", "trmsweep/internal/layout"}, never: join(temporal, gomlx, storage, plots), why: "words that every process shares: whoever reads them needs neither the model nor the plots"},
	{room: "internal/queues", deny: ours, never: join(temporal, gomlx, storage), why: "names that every client shares"},
	{room: "internal/report", deny: above, never: join(temporal, gomlx, storage), why: "results in, pages out"},
	{room: "internal/metrics", deny: join(above, []string{"trmsweep/internal"}), allow: []string{"trmsweep/internal/guard", "trmsweep/internal/protocol"}, never: join(gomlx, storage), why: "counts what it is told; workflows and worker use it"},
	{room: "internal/preflight", deny: above, never: join(temporal, gomlx, storage), why: "checks are handed to it"},
}

func join(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
