package experiment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/maruel/natural"
	"go.yaml.in/yaml/v3"
)

// layer is one source of values: a file, the profile, the environment, --set.
type layer struct {
	values  map[string]any
	origins map[string]string // key -> file:line, --set, variable
}

func newLayer() layer { return layer{map[string]any{}, map[string]string{}} }

func (l layer) put(key string, value any, origin string) {
	l.values[key], l.origins[key] = value, origin
}

// readMapping parses a YAML file whose top level is a mapping.
func readMapping(configs fs.FS, file string) (*yaml.Node, error) {
	data, err := fs.ReadFile(configs, file)
	if err != nil {
		return nil, Faults{{Origin: file, Msg: errors.Unwrap(err).Error()}}
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); err != nil && err != io.EOF {
		return nil, Faults{{Origin: file, Msg: err.Error()}}
	}
	if err := d.Decode(&more); err != io.EOF {
		return nil, Faults{{Origin: at(file, &more), Msg: "a second document begins here, of which nothing would be read; want one"}}
	}
	if len(doc.Content) == 0 {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, Faults{{Origin: at(file, doc.Content[0]), Msg: "want `key: value` lines"}}
	}
	return doc.Content[0], nil
}

func at(file string, n *yaml.Node) string { return fmt.Sprintf("%s:%d", file, n.Line) }

// plain is what a node stands for: an alias is its anchor's value, in its own place.
func plain(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.AliasNode || n.Alias == nil {
		return n
	}
	value := *n.Alias
	value.Line, value.Column = n.Line, n.Column
	return &value
}

// each calls fn for every key of a mapping; a repeated key is a fault.
func each(file string, m *yaml.Node, faults *Faults, fn func(key string, k, v *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := plain(m.Content[i]), plain(m.Content[i+1])
		if line, dup := first[k.Value]; dup {
			*faults = append(*faults, Fault{at(file, k), k.Value, fmt.Sprintf("given twice, first in line %d", line)})
			continue
		}
		first[k.Value] = k.Line
		fn(k.Value, k, v)
	}
}

// readLayer reads a file of configuration keys, strictly: every unknown or
// repeated key and every value of a wrong type is reported.
func readLayer(configs fs.FS, file string) (layer, error) {
	m, err := readMapping(configs, file)
	if err != nil {
		return layer{}, err
	}
	var faults Faults
	l := decodeLayer(file, m, &faults)
	return l, faults.orNil()
}

func decodeLayer(file string, m *yaml.Node, faults *Faults) layer {
	l := newLayer()
	each(file, m, faults, func(key string, k, v *yaml.Node) {
		f, err := settable(key)
		if err != nil {
			*faults = append(*faults, Fault{at(file, k), key, err.Error()})
			return
		}
		value, err := f.decode(v)
		if err != nil {
			*faults = append(*faults, Fault{at(file, v), key, err.Error()})
			return
		}
		l.put(key, value, at(file, v))
	})
	return l
}

// decode reads a YAML scalar of exactly the field's type; whole numbers are numbers too.
func (f field) decode(n *yaml.Node) (any, error) {
	want := map[reflect.Kind][]string{
		reflect.Bool: {"!!bool"}, reflect.Int: {"!!int"}, reflect.Int64: {"!!int"},
		reflect.Float64: {"!!float", "!!int"}, reflect.String: {"!!str"},
	}[f.kind]
	if n.Kind != yaml.ScalarNode || !slices.Contains(want, n.ShortTag()) {
		got := "a list or mapping"
		if n.Kind == yaml.ScalarNode {
			got = fmt.Sprintf("%q", n.Value)
		}
		return nil, fmt.Errorf("%s is not %s", got, f.wants())
	}
	target := reflect.New(map[reflect.Kind]reflect.Type{
		reflect.Bool: reflect.TypeFor[bool](), reflect.Int: reflect.TypeFor[int](), reflect.Int64: reflect.TypeFor[int64](),
		reflect.Float64: reflect.TypeFor[float64](), reflect.String: reflect.TypeFor[string](),
	}[f.kind])
	if err := n.Decode(target.Interface()); err != nil {
		return nil, fmt.Errorf("%q is not %s that fits", n.Value, f.wants())
	}
	return target.Elem().Interface(), nil
}

// assignments reads key=value pairs in which the later wins.
func assignments(flag string, pairs []string) (layer, error) {
	l := newLayer()
	var faults Faults
	for _, p := range pairs {
		key, text, ok := strings.Cut(p, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			faults = append(faults, Fault{flag + " " + p, "", "want KEY=VALUE"})
			continue
		}
		putText(l, &faults, flag, key, text)
	}
	return l, faults.orNil()
}

func putText(l layer, faults *Faults, origin, key, text string) {
	f, err := settable(key)
	var v any
	if err == nil {
		v, err = f.parse(text)
	}
	if err != nil {
		*faults = append(*faults, Fault{origin, key, err.Error()})
		return
	}
	l.put(key, v, origin)
}

// EnvPrefix starts the variables that set configuration keys: TRMSWEEP_SET_HIDDEN_SIZE=64.
const EnvPrefix = "TRMSWEEP_SET_"

// environment picks the variables of the form EnvPrefix + KEY out of environ.
func environment(environ []string) (layer, error) {
	l := newLayer()
	var faults Faults
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		if key, ok := strings.CutPrefix(name, EnvPrefix); ok {
			putText(l, &faults, name, strings.ToLower(key), text)
		}
	}
	return l, faults.orNil()
}

// list names the YAML files of a folder without their extension, sorted so that
// batch_512 comes before batch_1024.
func list(configs fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(configs, dir)
	if err != nil {
		return nil, fmt.Errorf("list configuration folder %s: %w", dir, err)
	}
	var names []string
	for _, e := range entries {
		if path.Ext(e.Name()) == ".yaml" {
			names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
		}
	}
	slices.SortFunc(names, natural.Compare)
	return names, nil
}
