package pjrt

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"sync"
)

// Module adds information to a program that GoMLX cannot express: which results may use
// the memory of which parameters, and whether it may be compiled. GoMLX writes the program's
// text, so the module is identified by a mark in the program's name, and Finish adds the
// information to the text.
type Module struct {
	name   string
	number int
	extra  extra
}

// extra is the information that a module adds.
type extra struct {
	aliases  []alias
	loadOnly bool
}

type alias struct{ parameter, result int }

const moduleMark = "__alias"

// modules maps numbers to what their modules add. Entries are never removed, because a process builds few programs.
var modules struct {
	sync.Mutex
	next int
	by   map[int]extra
}

// NewModule makes the module of a program with this name.
func NewModule(name string) *Module {
	modules.Lock()
	defer modules.Unlock()
	modules.next++
	return &Module{name: name, number: modules.next}
}

// Name returns the name under which the program must be built: the original name and the mark.
func (m *Module) Name() string { return m.name + moduleMark + strconv.Itoa(m.number) }

// Original returns the program's name without the mark.
func (m *Module) Original() string { return m.name }

// Alias lets a result use the memory of a parameter of the same type in executions that
// donate the parameter. Both are counted from 0 in the order of the program. It must be
// called before the program is compiled.
func (m *Module) Alias(parameter, result int) {
	m.extra.aliases = append(slices.Clone(m.extra.aliases), alias{parameter, result})
	m.publish()
}

// LoadOnly makes it an error to compile the program: it must be in the client's cache. It must be called before the
// program is compiled.
func (m *Module) LoadOnly() {
	m.extra.loadOnly = true
	m.publish()
}

func (m *Module) publish() {
	modules.Lock()
	defer modules.Unlock()
	if modules.by == nil {
		modules.by = map[int]extra{}
	}
	modules.by[m.number] = m.extra
}

var marked = regexp.MustCompile(`^module @(\w+?)` + moduleMark + `(\d+)\b`)

// Finish returns the text of a program with its original name and its aliases. A text without a mark is returned unchanged.
func Finish(code []byte) []byte {
	finished, _ := finish(code)
	return finished
}

// finish is Finish, and says whether the program may only be loaded.
func finish(code []byte) (finished []byte, loadOnly bool) {
	at := marked.FindSubmatchIndex(code)
	if at == nil {
		return code, false
	}
	number, err := strconv.Atoi(string(code[at[4]:at[5]]))
	plain := slices.Concat(code[:at[3]], code[at[5]:])
	if err != nil {
		return plain, false
	}
	modules.Lock()
	added := modules.by[number]
	modules.Unlock()
	if len(added.aliases) == 0 {
		return plain, added.loadOnly
	}
	aliased, err := writeAliases(plain, added.aliases)
	if err != nil {
		slog.Warn("a program is compiled without aliases: it needs more memory", "program", string(code[at[2]:at[3]]), "error", err)
		return plain, added.loadOnly
	}
	return aliased, added.loadOnly
}

// value is a parameter or a result in the signature of a function.
type value struct {
	kind string // its type
	end  int    // index of the end of its type in the text
	dict int    // index of the opening brace of its attributes, -1 if it has none
}

// writeAliases adds the attribute tf.aliasing_output to parameters of the main function.
func writeAliases(code []byte, aliases []alias) ([]byte, error) {
	const head = "func.func @main("
	begin := bytes.Index(code, []byte(head))
	if begin < 0 {
		return nil, fmt.Errorf("no main function")
	}
	parameters, end, err := parseValues(code, begin+len(head))
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(code[end:], []byte(") -> "))
	if !ok {
		return nil, fmt.Errorf("the main function's results are not where they were expected")
	}
	from := len(code) - len(rest)
	if code[from] == '(' {
		from++
	}
	results, _, err := parseValues(code, from)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(aliases, func(a, b alias) int { return a.parameter - b.parameter })
	var out []byte
	done := 0
	for _, a := range aliases {
		if a.parameter < 0 || a.parameter >= len(parameters) || a.result < 0 || a.result >= len(results) {
			return nil, fmt.Errorf("alias of parameter %d and result %d in a program of %d and %d",
				a.parameter, a.result, len(parameters), len(results))
		}
		p, r := parameters[a.parameter], results[a.result]
		if p.kind != r.kind {
			return nil, fmt.Errorf("parameter %d is %s and result %d is %s: they cannot share memory", a.parameter, p.kind, a.result, r.kind)
		}
		attribute := fmt.Sprintf("tf.aliasing_output = %d : i32", a.result)
		if p.dict < 0 {
			out = append(append(out, code[done:p.end]...), " { "+attribute+" }"...)
			done = p.end
		} else {
			out = append(append(out, code[done:p.dict+1]...), " "+attribute+","...)
			done = p.dict + 1
		}
	}
	return append(out, code[done:]...), nil
}

// parseValues parses "%name: type {attributes}, ..." or "type {attributes}, ..." up to the
// closing parenthesis or the function's body, and returns the index of that.
func parseValues(code []byte, from int) (values []value, end int, err error) {
	depth, inString := 0, false
	v := value{dict: -1}
	begin := from // index of the type
	finish := func(i int) {
		if v.dict < 0 {
			v.end = i
		}
		v.kind = string(bytes.TrimSpace(code[begin:v.end]))
		v.end = begin + len(bytes.TrimRight(code[begin:v.end], " \n"))
		if v.kind != "" {
			values = append(values, v)
		}
		v, begin = value{dict: -1}, i+1
	}
	for i := from; i < len(code); i++ {
		switch c := code[i]; {
		case c == '"':
			inString = !inString
		case inString:
		case c == ':' && depth == 0:
			begin = i + 1
		case c == ',' && depth == 0:
			finish(i)
		case c == ')' && depth == 0:
			finish(i)
			return values, i, nil
		case c == '{' && depth == 0:
			if bytes.HasPrefix(code[i:], []byte("{\n")) && code[from-1] != '(' { // the body follows a single result without parentheses
				finish(i)
				return values, i, nil
			}
			v.dict, v.end = i, i
			depth++
		case c == '<' || c == '{' || c == '[' || c == '(':
			depth++
		case c == '>' || c == '}' || c == ']' || c == ')':
			depth--
		}
	}
	return nil, 0, fmt.Errorf("the main function's signature has no end")
}
