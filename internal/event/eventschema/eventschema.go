// Package eventschema validates events against their JSON Schemas, for tests.
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

// Schemas holds the schema of each detail type.
type Schemas map[string]*jsonschema.Schema

// Load reads the schemas from a folder, usually docs/events.
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

// Check validates the JSON detail of an event of the given type. It also rejects fields that the schema does
// not describe, because consumers would not know them.
func (s Schemas) Check(detailType string, detail []byte) error {
	schema, ok := s[detailType]
	if !ok {
		return fmt.Errorf("no schema for %q", detailType)
	}
	err := strictschema.Check(schema, detail)
	if err != nil {
		return fmt.Errorf("the detail of %q: %w", detailType, err)
	}
	return nil
}
