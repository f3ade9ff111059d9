package evidence

import (
	"context"
	"errors"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// directory is the part of a registry of tenants that is read here.
type directory interface {
	List(ctx context.Context) ([]tenant.Tenant, error)
}

// Names returns what the registered tenants are called, by id. Without a registry, or if it cannot be read, it has no
// names: they only make it easier to read what ids say too.
func (l *Ledger) Names(ctx context.Context) map[string]string {
	if l.registry == nil {
		return nil
	}
	all, _ := l.registry.List(ctx)
	names := make(map[string]string, len(all))
	for _, t := range all {
		names[t.ID] = t.Name
	}
	return names
}

// TenantID returns the id that an id or a registered name stands for. It is the text itself if that is neither.
func (l *Ledger) TenantID(ctx context.Context, text string) string {
	if id, err := investigation.CanonicalID(text); err == nil || text == "" {
		return id
	}
	for id, name := range l.Names(ctx) {
		if investigation.Fold(name) == investigation.Fold(text) {
			return id
		}
	}
	return text
}

// Tenants implements verify.TenantsLedger: it returns the ids of all tenants that the ledger has ever recorded.
func (l *Ledger) Tenants(ctx context.Context) ([]string, error) { return l.TenantsLedger.Tenants(ctx) }

// TenantIDs returns the ids of the tenants that a question about all tenants is about.
func (l *Ledger) TenantIDs(ctx context.Context) ([]string, error) { return l.queries.Tenants(ctx) }

// served returns the ids of the registered tenants and of the stack's own one. Malformed entries are left out.
func (o Options) served(registry directory) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		all, err := registry.List(ctx)
		if err != nil && !errors.Is(err, tenant.ErrInvalid) {
			return nil, err
		}
		var ids []string
		if o.own != "" {
			ids = append(ids, o.own)
		}
		for _, t := range all {
			if t.ID != o.own {
				ids = append(ids, t.ID)
			}
		}
		return ids, nil
	}
}
