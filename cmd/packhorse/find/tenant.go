package find

import (
	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// tenantMin is how much of a tenant's id stands for it.
const tenantMin = 8

// TenantLabel returns what a tenant is called, cleaned, or the beginning of its id if it has no name.
func TenantLabel(names map[string]string, id string) string {
	if name := names[id]; name != "" {
		return console.CleanLine(name)
	}
	return console.Clean(id[:min(tenantMin, len(id))])
}

// SeveralTenants reports whether the records are of more than one tenant.
func SeveralTenants(records []investigation.Record) bool {
	for _, rec := range records {
		if rec.TenantID != records[0].TenantID {
			return true
		}
	}
	return false
}
