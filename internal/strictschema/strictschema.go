// Package strictschema holds JSON against a JSON Schema, for tests: what the schema does not describe
// is wrong too, since readers would not know what it is.
package strictschema

import (
	"bytes"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Load reads the schema in a file.
func Load(path string) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat() // else "format" is a remark
	return compiler.Compile(path)
}

// Check returns what is wrong with the JSON.
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

// described finds a property that no schema on the way to it describes.
func described(schema *jsonschema.Schema, value any, path string) error {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			property := schema.Properties[name]
			if property == nil {
				return fmt.Errorf("%s/%s is there, and the schema does not describe it", path, name)
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
