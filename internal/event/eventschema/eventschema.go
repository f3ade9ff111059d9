// Package eventschema holds events against their JSON Schemas, for tests.
package eventschema

import (
	"fmt"
	"path/filepath"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"packhorse/internal/event"
	"packhorse/internal/strictschema"
)

// files are the schemas' names without ".schema.json".
var files = map[string]string{
	event.TypeReady:        "ready",
	event.TypeDecided:      "settled",
	event.TypeArchived:     "archived",
	event.TypeNotCollected: "not-collected",
}

// Schemas are those of all detail types.
type Schemas map[string]*jsonschema.Schema

// Load reads the schemas of a folder: docs/events.
func Load(dir string) (Schemas, error) {
	schemas := Schemas{}
	for detailType, file := range files {
		schema, err := strictschema.Load(filepath.Join(dir, file+".schema.json"))
		if err != nil {
			return nil, fmt.Errorf("read the schema of %q: %w", detailType, err)
		}
		schemas[detailType] = schema
	}
	return schemas, nil
}

// Check returns what is wrong with a detail, in JSON, of an event of the given type. A field that
// the schema does not describe is wrong too: consumers would not know what it is.
func (s Schemas) Check(detailType string, detail []byte) error {
	schema, ok := s[detailType]
	if !ok {
		return fmt.Errorf("there is no schema of %q", detailType)
	}
	err := strictschema.Check(schema, detail)
	if err != nil {
		return fmt.Errorf("the detail of %q: %w", detailType, err)
	}
	return nil
}
