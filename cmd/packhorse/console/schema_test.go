package console_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"packhorse/internal/strictschema"
)

const schemas = "../../../docs/lines"

// elsewhere are the events of commands that other tests cover.
var elsewhere = []string{"record", "package", "status", "got", "exported", "check", "doctor"}

// TestLinesAreDescribed validates every line of the golden files, in which each event occurs.
func TestLinesAreDescribed(t *testing.T) {
	t.Parallel()
	set, err := strictschema.LoadSet(schemas, "event")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			name, err := set.Check(line)
			if err != nil {
				t.Errorf("%s: %v in %s", file, err, line)
			}
			seen[name] = true
		}
	}
	for _, name := range set.Names() {
		if !seen[name] && !slices.Contains(elsewhere, name) {
			t.Errorf("no golden file has the event %s", name)
		}
	}
}

// TestSchemasRefuse: a line without a required field, with an unknown one, or with a field of the wrong form is
// refused.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	set, err := strictschema.LoadSet(schemas, "event")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/run.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		for change, value := range map[string]any{
			"version": "2", "time": "yesterday", "tenantId": "contoso", "link": "https://host/p.zip?sig=s", "time ": nil,
		} {
			var object map[string]any
			if err := json.Unmarshal(line, &object); err != nil {
				t.Fatal(err)
			}
			object[change] = value
			if value == nil {
				delete(object, change)
				delete(object, "time")
			}
			changed, _ := json.Marshal(object)
			if _, err := set.Check(changed); err == nil {
				t.Errorf("with %s = %v it was accepted: %s", change, value, changed)
			}
		}
	}
}
