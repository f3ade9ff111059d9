package embedded_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/embedded"
	conformance "packhorse/internal/conformance/registry"
	tenants "packhorse/internal/tenant"
)

func TestRegistry(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Store {
		t.Helper()
		path := filepath.Join(t.TempDir(), "packhorse.db")
		db := openDB(t, path)
		return conformance.Store{
			One: embedded.NewRegistry(db), Other: embedded.NewRegistry(openDB(t, path)),
			Spoil: func(t *testing.T, id, field, value string) {
				t.Helper()
				quoted := strings.ReplaceAll(value, "'", "''")
				change := fmt.Sprintf(`fields = json_set(fields, '$."%s"', '%s')`, field, quoted)
				if field == "version" {
					change = fmt.Sprintf("version = '%s'", quoted)
				}
				if err := db.Exec(t.Context(), "UPDATE tenants SET "+change+" WHERE tenant_id = '"+id+"'"); err != nil {
					t.Fatal(err)
				}
			},
			Field: func(t *testing.T, id, field string) string {
				t.Helper()
				column := fmt.Sprintf(`coalesce(fields ->> '$."%s"', '')`, field)
				if field == "version" {
					column = field
				}
				value, err := db.Text(t.Context(), "SELECT "+column+" FROM tenants WHERE tenant_id = '"+id+"'")
				if err != nil {
					t.Fatal(err)
				}
				return value
			},
		}
	})
}

// TestRegistryRows: a row that is not JSON, or has a value that is not text, is named and hides no other.
func TestRegistryRows(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "packhorse.db"))
	registry := embedded.NewRegistry(db)
	for i := range 3 {
		entry := tenants.New(tenants.Tenant{ID: conformance.ID(i), Name: "customer"}, now)
		if _, err := registry.Put(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	for id, fields := range map[string]string{
		conformance.ID(0): "{", conformance.ID(1): `{"name": 7}`,
	} {
		err := db.Exec(t.Context(), fmt.Sprintf("UPDATE tenants SET fields = '%s' WHERE tenant_id = '%s'", fields, id))
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := registry.List(t.Context())
	if len(all) != 1 || all[0].ID != conformance.ID(2) || !errors.Is(err, tenants.ErrInvalid) ||
		strings.Count(err.Error(), "the registry's entry of") != 2 {
		t.Errorf("got %+v, %v", all, err)
	}
}
