package desk

import (
	"context"
	"errors"
	"os"
	"sync"

	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

// directory is the part of a registry of tenants that is read here.
type directory interface {
	List(ctx context.Context) ([]tenant.Tenant, error)
}

// book has what the registry of tenants said when it was last read. It is safe for concurrent use.
type book struct {
	registry directory // nil without one
	shared   settled   // how the app proves who it is that tenants have if their entries do not say

	mu      sync.Mutex // guards entries
	entries map[string]tenant.Tenant
}

// read reads the registry. Malformed entries are left out: packhorse tenant list names them.
func (b *book) read(ctx context.Context) ([]tenant.Tenant, error) {
	if b.registry == nil {
		return nil, nil
	}
	all, err := b.registry.List(ctx)
	if err != nil && !errors.Is(err, tenant.ErrInvalid) {
		return nil, err
	}
	entries := make(map[string]tenant.Tenant, len(all))
	for _, t := range all {
		entries[t.ID] = t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = entries
	return all, nil
}

// entry returns the entry of a tenant; it is zero if the tenant is not registered.
func (b *book) entry(id string) tenant.Tenant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[id]
}

// member describes a tenant.
func (b *book) member(id string) status.Member {
	b.mu.Lock()
	defer b.mu.Unlock()
	entry, among := b.entries[id], len(b.entries)
	if entry.ID == "" { // the tenant of the settings is not counted
		among++
	}
	return status.Member{ID: id, Name: entry.Name, Suspended: entry.State == tenant.Suspended, Among: among}
}

// limits returns the limits of a tenant's budget: the entry's and, where it has none, the given ones.
func (b *book) limits(id string, limits defender.Limits) defender.Limits {
	entry := b.entry(id)
	if entry.PerMinute > 0 {
		limits.PerMinute = entry.PerMinute
	}
	if entry.PerHour > 0 {
		limits.PerHour = entry.PerHour
	}
	return limits
}

// Credential implements status.Credentials. The settings of a program's own tenant count, even if it has an entry.
func (b *book) Credential(id string) status.Credential {
	entry := b.entry(id)
	c := entry.Credential
	switch {
	case id == b.shared.tenantID || entry.ID == "" || c.Kind == "":
		if entry.ID == "" && id != b.shared.tenantID || b.shared.read == nil {
			return status.Credential{}
		}
		return b.shared.read()
	case c.Kind == tenant.Federated:
		return status.Credential{Kind: c.Kind}
	case c.Kind == tenant.Certificate && c.CertificateFile != "":
		return inFile(c.CertificateFile, certificateIn)
	case c.Kind == tenant.Certificate:
		return certificateIn(c.CertificatePEM)
	case c.SecretFile != "":
		return inFile(c.SecretFile, func(text string) status.Credential { return secretUntil(entra.SecretExpires(text)) })
	default:
		return status.Credential{}
	}
}

// inFile says what is known of a credential in a file; nothing, if that cannot be read.
func inFile(path string, parse func(string) status.Credential) status.Credential {
	text, err := os.ReadFile(path) //nolint:gosec // the registry names it
	if err != nil {
		return status.Credential{}
	}
	return parse(string(text))
}
