// Package strictschema validates JSON against a JSON Schema, for tests. It also rejects properties
// that the schema does not describe, because readers could not interpret them.
package strictschema

import (
	"bytes"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Load reads a schema from a file.
func Load(path string) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat() // otherwise "format" is not checked
	return compiler.Compile(path)
}

// Check returns the first violation in the JSON.
func Check(schema *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	err = schema.Validate(value)
	if err != nil {
		return err
	}
	return described(schema, value, "")
}

// described finds a property that the schema does not describe.
func described(schema *jsonschema.Schema, value any, path string) error {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			property := schema.Properties[name]
			if property == nil {
				return fmt.Errorf("%s/%s is not described by the schema", path, name)
			}
			if err := described(property, inner, path+"/"+name); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := described(schema.Items2020, inner, path+"/[]"); err != nil {
				return err
			}
		}
	}
	return nil
}
