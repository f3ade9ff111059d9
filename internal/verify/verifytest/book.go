package verifytest

import (
	"context"

	"packhorse/internal/investigation"
)

// Book is a ledger in memory.
type Book struct {
	Heads map[string]investigation.Head
	Known map[string]map[string]investigation.Record
}

// Head implements verify.Ledger.
func (b *Book) Head(_ context.Context, tenant string) (investigation.Head, error) {
	return b.Heads[tenant], nil
}

// Records implements verify.Ledger.
func (b *Book) Records(_ context.Context, tenant string) ([]investigation.Record, error) {
	var all []investigation.Record
	for _, rec := range b.Known[tenant] {
		all = append(all, rec)
	}
	return all, nil
}

// Tenants implements verify.TenantsLedger.
func (b *Book) Tenants(context.Context) ([]string, error) {
	var ids []string
	for id := range b.Known {
		ids = append(ids, id)
	}
	return ids, nil
}

// Clone returns a copy.
func (b *Book) Clone() *Book {
	c := &Book{Heads: map[string]investigation.Head{}, Known: map[string]map[string]investigation.Record{}}
	for id, head := range b.Heads {
		c.Heads[id] = head
	}
	for id, records := range b.Known {
		c.Known[id] = map[string]investigation.Record{}
		for action, rec := range records {
			c.Known[id][action] = rec
		}
	}
	return c
}

// Change edits the record of an action of the first tenant.
func (b *Book) Change(action int, edit func(*investigation.Record)) {
	id := ActionID(action)
	rec := b.Known[Tenant][id]
	edit(&rec)
	b.Known[Tenant][id] = rec
}
