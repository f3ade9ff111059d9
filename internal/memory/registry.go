package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"packhorse/internal/tenant"
)

// Registry is a registry of tenants in memory, for tests. It is safe for concurrent use.
type Registry struct {
	mu      sync.Mutex // guards what follows
	entries map[string]map[string]string
	writes  int
}

const versionField = "version"

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{entries: map[string]map[string]string{}} }

// List returns every valid entry, in order of the ids, and an error that names the others.
func (m *Registry) List(ctx context.Context) ([]tenant.Tenant, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list the tenants: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []tenant.Tenant
	var bad []error
	for id, fields := range m.entries {
		t, err := tenant.Stored(id, fields[versionField], fields)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b tenant.Tenant) int { return cmp.Compare(a.ID, b.ID) })
	return all, errors.Join(bad...)
}

// Get returns the entry of a tenant, or the zero Tenant if it is not registered.
func (m *Registry) Get(ctx context.Context, id string) (tenant.Tenant, error) {
	if err := ctx.Err(); err != nil {
		return tenant.Tenant{}, fmt.Errorf("read tenant %s: %w", id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fields, ok := m.entries[id]
	if !ok {
		return tenant.Tenant{}, nil
	}
	return tenant.Stored(id, fields[versionField], fields)
}

// Put stores an entry over the version that it carries, and returns it with its new version.
func (m *Registry) Put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error) {
	err := errors.Join(ctx.Err(), t.Validate())
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("write tenant %s: %w", t.ID, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[t.ID][versionField] != t.Version {
		return tenant.Tenant{}, fmt.Errorf("write tenant %s: %w", t.ID, tenant.ErrConflict)
	}
	m.writes++
	t.Version = strconv.Itoa(m.writes)
	fields := maps.Clone(m.entries[t.ID])
	if fields == nil {
		fields = map[string]string{}
	}
	for _, name := range tenant.FieldNames() {
		delete(fields, name)
	}
	maps.Copy(fields, t.Fields())
	fields[versionField] = t.Version
	m.entries[t.ID] = fields
	return t, nil
}

// Delete removes an entry that still has the version it carries. One that was removed already is no conflict.
func (m *Registry) Delete(ctx context.Context, t tenant.Tenant) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("remove tenant %s: %w", t.ID, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fields, ok := m.entries[t.ID]
	switch {
	case !ok && t.Version != "":
		return nil
	case !ok, fields[versionField] != t.Version:
		return fmt.Errorf("remove tenant %s: %w", t.ID, tenant.ErrConflict)
	}
	delete(m.entries, t.ID)
	return nil
}

// Spoil sets a field of an entry without any check, as if by somebody else.
func (m *Registry) Spoil(id, field, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[id][field] = value
}

// Field returns a field of an entry as it is stored.
func (m *Registry) Field(id, field string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[id][field]
}
