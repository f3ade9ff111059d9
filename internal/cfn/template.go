// Package cfn reads a CloudFormation template and computes what a deployment would create, for
// tests.
//
// [Load] reads the file, and [Template.Deploy] checks the parameters and resolves conditions and
// intrinsic functions. Every scalar is kept as text. It deploys nothing. It supports only the
// features that template.yaml uses; anything else is an error.
package cfn

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Template is a parsed template.
type Template struct {
	parameters map[string]any
	conditions map[string]any
	resources  map[string]any
	assertions map[string]any // the section Rules; it and those below may be missing
	mappings   map[string]any
	outputs    map[string]any
	variables  map[string]any // of every function: Globals.Function.Environment.Variables
	rules      map[string]Parameter
}

// Parameter is the definition of a parameter.
type Parameter struct {
	Default string
	Needed  bool // without a default
	Pattern *regexp.Regexp
	Values  []string
	Min     *float64
	Max     *float64
}

// Load reads a template in YAML.
func Load(path string) (*Template, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the test chooses the template
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	err = yaml.Unmarshal(text, &document)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	root, ok := decode(document.Content[0]).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("parse %s: not a mapping", path)
	}
	t := &Template{rules: map[string]Parameter{}}
	for section, into := range map[string]*map[string]any{
		"Parameters": &t.parameters, "Conditions": &t.conditions, "Resources": &t.resources,
	} {
		*into, ok = root[section].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("parse %s: section %s is missing", path, section)
		}
	}
	t.assertions, _ = root["Rules"].(map[string]any)
	t.mappings, _ = root["Mappings"].(map[string]any)
	t.outputs, _ = root["Outputs"].(map[string]any)
	globals, _ := root["Globals"].(map[string]any)
	function, _ := globals["Function"].(map[string]any)
	environment, _ := function["Environment"].(map[string]any)
	t.variables, _ = environment["Variables"].(map[string]any)
	for name, description := range t.parameters {
		t.rules[name], err = parameterOf(description)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	return t, nil
}

// decode converts a node to maps, slices and strings. It expands short forms (!Ref x) to long ones.
func decode(node *yaml.Node) any {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	var value any
	switch node.Kind {
	case yaml.MappingNode:
		mapping := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			mapping[node.Content[i].Value] = decode(node.Content[i+1])
		}
		value = mapping
	case yaml.SequenceNode:
		sequence := []any{}
		for _, item := range node.Content {
			sequence = append(sequence, decode(item))
		}
		value = sequence
	default:
		value = node.Value
	}
	name, short := strings.CutPrefix(node.Tag, "!")
	switch {
	case !short || strings.HasPrefix(name, "!"): // standard tags such as !!str
		return value
	case name == "Ref" || name == "Condition":
		return map[string]any{name: value}
	default:
		return map[string]any{"Fn::" + name: value}
	}
}

func parameterOf(description any) (p Parameter, err error) {
	fields, ok := description.(map[string]any)
	if !ok {
		return p, fmt.Errorf("got %v", description)
	}
	text := func(field string) string { s, _ := fields[field].(string); return s }
	p.Default = text("Default")
	p.Needed = fields["Default"] == nil
	for _, value := range sliceOf(fields["AllowedValues"]) {
		p.Values = append(p.Values, fmt.Sprint(value))
	}
	if pattern := text("AllowedPattern"); pattern != "" {
		p.Pattern, err = regexp.Compile(pattern)
		if err != nil {
			return p, err
		}
	}
	for field, into := range map[string]**float64{"MinValue": &p.Min, "MaxValue": &p.Max} {
		if text(field) == "" {
			continue
		}
		n, err := strconv.ParseFloat(text(field), 64)
		if err != nil {
			return p, err
		}
		*into = &n
	}
	return p, nil
}

// takes reports whether the parameter accepts a value.
func (p Parameter) takes(value string) bool {
	n, err := strconv.ParseFloat(value, 64)
	numeric := p.Min == nil && p.Max == nil || err == nil &&
		(p.Min == nil || n >= *p.Min) && (p.Max == nil || n <= *p.Max)
	return numeric && (p.Pattern == nil || p.Pattern.MatchString(value)) &&
		(len(p.Values) == 0 || slices.Contains(p.Values, value))
}

func sliceOf(value any) []any {
	items, _ := value.([]any)
	return items
}
