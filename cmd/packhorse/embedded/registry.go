package embedded

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"packhorse/internal/tenant"
)

// versionFive adds the registry of tenants.
const versionFive = `
CREATE TABLE tenants (
	tenant_id TEXT PRIMARY KEY,
	version   TEXT NOT NULL, -- names the write that made the row
	fields    TEXT NOT NULL -- JSON: an object with texts
) WITHOUT ROWID;
`

// Registry is the registry of tenants of one machine.
type Registry struct{ db *DB }

// NewRegistry returns the registry kept in db.
func NewRegistry(db *DB) *Registry { return &Registry{db: db} }

// List returns every valid entry, in order of the ids. Its error names malformed entries, beside which the others are
// returned.
func (r *Registry) List(ctx context.Context) (all []tenant.Tenant, err error) {
	rows, err := r.db.sql.QueryContext(ctx, selectTenants+"ORDER BY tenant_id")
	if err != nil {
		return nil, fmt.Errorf("list the tenants: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var bad []error
	for rows.Next() {
		var row tenantRow
		err := row.scan(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list the tenants: %w", err)
		}
		t, err := row.decode()
		if err != nil {
			bad = append(bad, err)
			continue
		}
		all = append(all, t)
	}
	return all, errors.Join(append(bad, rows.Err())...)
}

// Get returns the entry of a tenant, or the zero Tenant if it is not registered.
func (r *Registry) Get(ctx context.Context, id string) (tenant.Tenant, error) {
	row, err := readTenant(ctx, r.db.sql, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return tenant.Tenant{}, nil
	case err != nil:
		return tenant.Tenant{}, fmt.Errorf("read tenant %s: %w", id, err)
	}
	return row.decode()
}

// Put stores an entry over the version that it carries, and returns it with its new version. Stored fields that it
// does not know stay.
func (r *Registry) Put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error) {
	was := t.Version
	t.Version = rand.Text()
	err := t.Validate()
	if err == nil {
		err = r.db.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return putTenant(ctx, tx, t, was) })
	}
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("write tenant %s: %w", t.ID, err)
	}
	return t, nil
}

func putTenant(ctx context.Context, tx *sql.Tx, t tenant.Tenant, was string) error {
	row, err := readTenant(ctx, tx, t.ID)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if row.version != was {
		return tenant.ErrConflict
	}
	fields := map[string]any{}
	if was != "" {
		err = json.Unmarshal([]byte(row.fields), &fields)
		if err != nil {
			return row.strange(err)
		}
	}
	for _, name := range tenant.FieldNames() {
		delete(fields, name)
	}
	for name, value := range t.Fields() {
		fields[name] = value
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO tenants (tenant_id, version, fields) VALUES (?, ?, ?)
		ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, fields = excluded.fields`,
		t.ID, t.Version, string(text))
	return err
}

// Delete removes an entry that still has the version it carries.
func (r *Registry) Delete(ctx context.Context, t tenant.Tenant) error {
	done, err := r.db.sql.ExecContext(ctx, "DELETE FROM tenants WHERE tenant_id = ? AND version = ?", t.ID, t.Version)
	if err == nil {
		var rows int64
		rows, err = done.RowsAffected()
		if err == nil && rows == 0 {
			err = r.unlessGone(ctx, t)
		}
	}
	if err != nil {
		return fmt.Errorf("remove tenant %s: %w", t.ID, err)
	}
	return nil
}

// unlessGone returns a conflict, unless the entry was removed already.
func (r *Registry) unlessGone(ctx context.Context, t tenant.Tenant) error {
	_, err := readTenant(ctx, r.db.sql, t.ID)
	if errors.Is(err, sql.ErrNoRows) && t.Version != "" {
		return nil
	}
	return tenant.ErrConflict
}

// tenantRow is a row of the registry.
type tenantRow struct{ id, version, fields string }

const selectTenants = "SELECT tenant_id, version, fields FROM tenants "

func readTenant(ctx context.Context, q querier, id string) (row tenantRow, err error) {
	err = row.scan(q.QueryRowContext(ctx, selectTenants+"WHERE tenant_id = ?", id).Scan)
	return row, err
}

func (r *tenantRow) scan(scan func(...any) error) error { return scan(&r.id, &r.version, &r.fields) }

// decode returns the row's entry. Values that are not text, of fields that it knows, damage the entry.
func (r tenantRow) decode() (tenant.Tenant, error) {
	var values map[string]any
	err := json.Unmarshal([]byte(r.fields), &values)
	if err != nil {
		return tenant.Tenant{}, r.strange(err)
	}
	fields := map[string]string{}
	for _, name := range tenant.FieldNames() {
		value, set := values[name]
		text, isText := value.(string)
		if set && !isText {
			return tenant.Tenant{}, r.strange(fmt.Errorf("%s is not text", name))
		}
		fields[name] = text
	}
	return tenant.Stored(r.id, r.version, fields)
}

func (r tenantRow) strange(err error) error {
	return fmt.Errorf("the registry's entry of tenant %.64q: %w: %w", r.id, tenant.ErrInvalid, err)
}
