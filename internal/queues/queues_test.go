package queues

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every search attribute that has a name has a type.
func TestSearchAttributesAreAll(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "queues.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Attr") {
			return true
		}
		named++
		name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil || SearchAttributes[name] == "" {
			t.Errorf("%s = %q is not in SearchAttributes (%v)", v.Names[0].Name, name, err)
		}
		return true
	})
	if named == 0 || named != len(SearchAttributes) {
		t.Errorf("%d constants, %d search attributes", named, len(SearchAttributes))
	}
}

// compose is what the tests read of docker-compose.yml.
type compose struct {
	Services map[string]struct {
		Image       string
		Build       string
		Command     []string
		Environment map[string]string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	}
}

func readCompose(t *testing.T) compose {
	t.Helper()
	data, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeRegistersTheSearchAttributes(t *testing.T) {
	script := strings.Join(readCompose(t).Services["temporal-setup"].Command, "\n")
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`--name (\S+) --type (\S+)`).FindAllStringSubmatch(script, -1) {
		got[m[1]] = m[2]
	}
	if !maps.Equal(got, SearchAttributes) {
		t.Errorf("docker-compose.yml registers %v, want %v", got, SearchAttributes)
	}
}

// Whatever waits for a service waits for one that there is, and every service
// comes from somewhere.
func TestComposeHangsTogether(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		if (s.Image == "") == (s.Build == "") {
			t.Errorf("service %s needs an image or a build, not both", name)
		}
		if strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("service %s: the version of %s is not pinned", name, s.Image)
		}
		for other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("service %s waits for %s, which is not there", name, other)
			}
		}
	}
	for _, name := range []string{"worker", "tctl"} {
		if addr := c.Services[name].Environment["TEMPORAL_ADDRESS"]; addr != "temporal:7233" {
			t.Errorf("%s talks to %q", name, addr)
		}
	}
}
