package strictschema

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Set is a folder of schemas that tell their values apart by a property.
type Set struct {
	property string
	schemas  map[string]*jsonschema.Schema
}

// LoadSet reads every *.schema.json of a folder. Each MUST define the property as a constant text of its own.
func LoadSet(dir, property string) (Set, error) {
	set := Set{property, map[string]*jsonschema.Schema{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.schema.json"))
	if err != nil {
		return set, err
	}
	for _, file := range files {
		schema, err := Load(file)
		if err != nil {
			return set, fmt.Errorf("read the schema %s: %w", file, err)
		}
		constant := schema.Properties[property]
		if constant == nil || constant.Const == nil {
			return set, fmt.Errorf("schema %s does not say what %q is", file, property)
		}
		name, ok := (*constant.Const).(string)
		if _, again := set.schemas[name]; again || !ok {
			return set, fmt.Errorf("schema %s: %q is not a text of its own", file, property)
		}
		set.schemas[name] = schema
	}
	return set, nil
}

// Names returns the constants of the schemas, in no order.
func (s Set) Names() []string {
	var names []string
	for name := range s.schemas {
		names = append(names, name)
	}
	return names
}

// Check validates a JSON object against the schema that its property names, and returns that name.
func (s Set) Check(text []byte) (name string, err error) {
	var object map[string]any
	err = json.Unmarshal(text, &object)
	if err != nil {
		return "", fmt.Errorf("decode: %w", err)
	}
	name, _ = object[s.property].(string)
	schema, ok := s.schemas[name]
	if !ok {
		return name, fmt.Errorf("no schema for %s %q", s.property, name)
	}
	err = Check(schema, text)
	if err != nil {
		return name, fmt.Errorf("%s %q: %w", s.property, name, err)
	}
	return name, nil
}
