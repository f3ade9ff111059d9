// Package desk opens what a status is read from: the ledger, the health and the budgets in a data folder, or those of a
// deployed stack.
package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/defender"
	"packhorse/internal/status"
)

// Desk is open. It MUST be closed.
type Desk struct {
	Name string // what it shows, for people
	// Costly says that each reading takes long or costs money, so that a reader should pause in between.
	Costly bool

	tenants func(context.Context) ([]string, error)
	ledger  status.Fleet
	budgets status.Budgets
	book    *book
	fresh   func()       // called before each reading; nil if there is nothing to forget
	close   func() error // nil if there is nothing to close
}

// Options say what to open.
type Options struct {
	Data     string            // the data folder
	Stack    string            // a deployed stack instead
	TenantID string            // only this tenant; empty means all
	Environ  map[string]string // the settings of a tenant in a data folder; empty if they are elsewhere
	Limits   defender.Limits   // of the budgets in a data folder, which keeps only what was spent
}

// Open opens the stack, or the data folder. It returns an [evidence.NoLedgerError] if the folder does not contain a
// ledger.
func Open(ctx context.Context, o Options) (*Desk, error) {
	if o.Stack != "" {
		return openStack(ctx, o)
	}
	return openFolder(ctx, o)
}

// Close closes the desk.
func (d *Desk) Close() error {
	if d.close == nil {
		return nil
	}
	return d.close()
}

// fewMax is how many tenants are all read in full: a line for each fits a screen.
const fewMax = 10

// Read returns the status of the tenants: of all in full or, if there are many, an overview.
func (d *Desk) Read(ctx context.Context, now time.Time, all bool) (status.Overview, error) {
	if d.fresh != nil {
		d.fresh()
	}
	ids, err := d.tenants(ctx)
	if err != nil {
		return status.Overview{}, err
	}
	members := make([]status.Member, len(ids))
	for i, id := range ids {
		members[i] = d.book.member(id)
	}
	if len(members) > fewMax && !all {
		return status.Summarize(ctx, d.ledger, d.budgets, d.book, members, now)
	}
	tenants, err := status.Read(ctx, d.ledger, d.budgets, d.book, members, now)
	return status.Overview{Tenants: tenants}, err
}

// only returns what names one tenant, or every tenant if id is empty: those of the registry, and others.
func (b *book) only(id string, others func(context.Context) ([]string, error)) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		registered, err := b.read(ctx)
		if err != nil || id != "" {
			return []string{id}, err
		}
		known, err := others(ctx)
		for _, t := range registered {
			known = append(known, t.ID)
		}
		return union(known, nil), err
	}
}

// union returns the ids of two lists, in order.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Simulated reports whether a tenant is the simulated one.
func Simulated(tenantID string) bool { return simulation.IsTenant(tenantID) }

// wrap adds what was being done to the errors of both.
func wrap(what string, errs ...error) error {
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
