package experiment

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// field is one configuration key of Spec.
type field struct {
	key  string
	kind reflect.Kind // String, Bool, Int, Int64, Float64
	unit string
	hash inHash
}

// derived keys come from the file's name and the command line, never from a value.
var derived = []string{"name", "profile"}

// removed keys were keys of the hash format 1, with what to say to whoever still gives them.
var removed = map[string]string{
	"num_workers":             "is no key any more: it computed nothing, since a run computes on one device; leave it out",
	"xla_metrics_every_steps": "is no key any more: nothing read it; leave it out",
}

// fields are all keys of Spec, in the order of the struct.
var fields = fieldsOf(reflect.TypeFor[Spec]())

// fieldsOf reads the tags of a struct such as Spec; a wrong tag is the programmer's fault.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		f := field{key: sf.Tag.Get("mapstructure"), kind: sf.Type.Kind(), unit: sf.Tag.Get("unit")}
		tag := sf.Tag.Get("hash")
		neutral, hasNeutral := strings.CutPrefix(tag, "unless=")
		switch {
		case hasNeutral:
			v, err := f.parse(neutral)
			if err != nil {
				panic(fmt.Sprintf("%s.%s: neutral value: %v", t, sf.Name, err))
			}
			f.hash = inHash{hashed: true, neutral: reflect.ValueOf(v).Convert(sf.Type).Interface()}
		case tag == "yes", tag == "no":
			f.hash.hashed = tag == "yes"
		default:
			panic(fmt.Sprintf("%s.%s: tag hash:%q, want no, yes or unless=VALUE", t, sf.Name, tag))
		}
		out = append(out, f)
	}
	return out
}

var fieldByKey = func() map[string]field {
	m := map[string]field{}
	for _, f := range fields {
		m[f.key] = f
	}
	return m
}()

// Keys are the configuration keys that files, --set and the environment may use, sorted.
func Keys() []string {
	keys := slices.Sorted(maps.Keys(fieldByKey))
	return slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(derived, k) })
}

// settable looks a key up for a file or the command line.
func settable(key string) (field, error) {
	f, ok := fieldByKey[key]
	if slices.Contains(derived, key) {
		return field{}, fmt.Errorf("cannot be set: it comes from the experiment's file name or --profile")
	}
	if why, was := removed[key]; was {
		return field{}, errors.New(why)
	}
	if !ok {
		return field{}, fmt.Errorf("unknown key%s", Suggest("; the nearest known key is %s", key, Keys()))
	}
	return f, nil
}

// wants names the type in words a user understands.
func (f field) wants() string {
	switch f.kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "text"
}

func (f field) numeric() bool {
	return f.kind == reflect.Int || f.kind == reflect.Int64 || f.kind == reflect.Float64
}

// parse reads a value as typed on a command line.
func (f field) parse(s string) (any, error) {
	s = strings.TrimSpace(s)
	var v any
	var err error
	switch f.kind {
	case reflect.Bool:
		v, err = strconv.ParseBool(s)
	case reflect.Int, reflect.Int64:
		v, err = strconv.ParseInt(s, 10, 64)
	case reflect.Float64:
		v, err = strconv.ParseFloat(s, 64)
	default:
		v = s
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not %s", s, f.wants())
	}
	return v, nil
}
