package eventschema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/internal/event"
	"packhorse/internal/event/eventschema"
)

func load(t *testing.T) eventschema.Schemas {
	t.Helper()
	schemas, err := eventschema.Load("../../../docs/events")
	if err != nil {
		t.Fatal(err)
	}
	return schemas
}

func golden(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var detail map[string]any
	if err := json.Unmarshal(text, &detail); err != nil {
		t.Fatal(err)
	}
	return detail
}

func TestSchemasDescribeWhatIsSent(t *testing.T) {
	schemas := load(t)
	for file, detailType := range map[string]string{
		"ready.json": event.TypeReady, "archived.json": event.TypeArchived,
		"not_collected.json": event.TypeNotCollected,
	} {
		if detailType == event.TypeReady { // the other kind of work has the same fields
			text, _ := json.Marshal(golden(t, file))
			if err := schemas.Check(event.TypeDecided, text); err != nil {
				t.Error(err)
			}
		}
		detail := golden(t, file)
		text, _ := json.Marshal(detail)
		if err := schemas.Check(detailType, text); err != nil {
			t.Error(err)
		}
		for name := range detail { // every field is required
			less := golden(t, file)
			delete(less, name)
			text, _ := json.Marshal(less)
			if err := schemas.Check(detailType, text); err == nil {
				t.Errorf("%s without %s was accepted", file, name)
			}
		}
	}
}

func TestSchemasRefuse(t *testing.T) {
	schemas := load(t)
	for name, change := range map[string]any{
		"version": "2", "tenantId": "none", "actionId": "../x", "createdAt": "yesterday", "size": 0,
		"sha256": strings.Repeat("A", 64), "machineId": 7, "link": "https://x/p.zip?sig=s",
	} {
		detail := golden(t, "archived.json")
		detail[name] = change
		text, _ := json.Marshal(detail)
		if err := schemas.Check(event.TypeArchived, text); err == nil {
			t.Errorf("%s = %v was accepted", name, change)
		}
	}
	detail := golden(t, "not_collected.json")
	detail["reason"] = "Lost"
	text, _ := json.Marshal(detail)
	for detailType, text := range map[string]string{
		event.TypeNotCollected: string(text), event.TypeReady: "[]", "Another": "{}",
	} {
		if err := schemas.Check(detailType, []byte(text)); err == nil {
			t.Errorf("%s: %s was accepted", detailType, text)
		}
	}
}
