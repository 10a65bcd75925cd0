package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// attribute is one search attribute of the default namespace.
type attribute struct {
	name string
	kind enumspb.IndexedValueType
}

type attributeList []attribute

// defaultAttributes are the search attributes that the study's workflows set. A test of the
// main module compares them with those of its workflows.
func defaultAttributes() attributeList {
	const (
		keyword = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		integer = enumspb.INDEXED_VALUE_TYPE_INT
		double  = enumspb.INDEXED_VALUE_TYPE_DOUBLE
	)
	return attributeList{
		{"TrmSweep", keyword}, {"TrmPhase", keyword}, {"TrmExperiment", keyword}, {"TrmStatus", keyword}, {"TrmHoldup", keyword},
		{"TrmStep", integer}, {"TrmPreemptions", integer},
		{"TrmBestExactAccuracy", double}, {"TrmGoodput", double},
	}
}

// String lists Name=Type, separated by commas.
func (l *attributeList) String() string {
	var out []string
	for _, a := range *l {
		out = append(out, a.name+"="+a.kind.String())
	}
	return strings.Join(out, ",")
}

// Set adds or replaces one Name=Type.
func (l *attributeList) Set(v string) error {
	name, typ, ok := strings.Cut(v, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q: want Name=Type", v)
	}
	kind, err := enumspb.IndexedValueTypeFromString(typ)
	if err != nil || kind == enumspb.INDEXED_VALUE_TYPE_UNSPECIFIED {
		return fmt.Errorf("%q: type %q: want Keyword, KeywordList, Text, Int, Double, Bool or Datetime", v, typ)
	}
	if i := slices.IndexFunc(*l, func(a attribute) bool { return a.name == name }); i >= 0 {
		(*l)[i].kind = kind
		return nil
	}
	*l = append(*l, attribute{name, kind})
	return nil
}

func (l attributeList) types() map[string]enumspb.IndexedValueType {
	m := map[string]enumspb.IndexedValueType{}
	for _, a := range l {
		m[a.name] = a.kind
	}
	return m
}

// register adds the attributes that the namespace lacks (one made by an older build has
// fewer) and returns when all can be used.
func (l attributeList) register(ctx context.Context, c client.Client, namespace string) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, a := range l {
		switch kind, ok := have.GetCustomAttributes()[a.name]; {
		case !ok:
			missing[a.name] = a.kind
		case kind != a.kind:
			return fmt.Errorf("search attribute %s is registered as %s in this state folder, this build wants %s: use another --state, "+
				"or remove the attribute with `temporal operator search-attribute remove --name %s`", a.name, kind, a.kind, a.name)
		}
	}
	if len(missing) > 0 {
		request := &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing}
		if _, err := c.OperatorService().AddSearchAttributes(ctx, request); err != nil {
			return fmt.Errorf("register search attributes: %w", err)
		}
	}
	var clauses []string
	for _, a := range l {
		clauses = append(clauses, a.name+" IS NULL")
	}
	query := strings.Join(clauses, " AND ")
	return until(ctx, "search attributes", func(ctx context.Context) error {
		_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: query})
		return err
	})
}

// until calls f until it succeeds or the deadline of the start has passed.
func until(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, 5*time.Second)
		err := f(attempt)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s not ready: %w", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
