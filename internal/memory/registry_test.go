package memory_test

import (
	"testing"

	conformance "packhorse/internal/conformance/registry"
	"packhorse/internal/memory"
)

func TestRegistry(t *testing.T) {
	conformance.Run(t, func(*testing.T) conformance.Store {
		r := memory.NewRegistry()
		return conformance.Store{
			One: r, Other: r,
			Spoil: func(_ *testing.T, id, field, value string) { r.Spoil(id, field, value) },
			Field: func(_ *testing.T, id, field string) string { return r.Field(id, field) },
		}
	})
}
