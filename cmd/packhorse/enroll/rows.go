package enroll

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"packhorse/internal/tenant"
)

// Row is a tenant and how well its sweeps work.
type Row struct {
	Tenant tenant.Tenant
	Own    bool // it needs no entry
	Health tenant.Health
	Err    error // the health cannot be read
}

// readersMax is how many healths are read at once.
const readersMax = 16

// Rows returns every tenant, those that need a person first. Malformed entries are named in the error, beside which
// the other tenants are returned.
func (p *Place) Rows(ctx context.Context) ([]Row, error) {
	all, err := p.Registry.List(ctx)
	if err != nil && !errors.Is(err, tenant.ErrInvalid) {
		return nil, err
	}
	var rows []Row
	if p.OwnID != "" {
		rows = append(rows, Row{Tenant: tenant.Tenant{ID: p.OwnID, State: tenant.Active}, Own: true})
	}
	for _, t := range all {
		if t.ID != p.OwnID {
			rows = append(rows, Row{Tenant: t})
		}
	}
	var readers sync.WaitGroup
	next := make(chan *Row)
	for range min(readersMax, len(rows)) {
		readers.Go(func() {
			for row := range next {
				p.read(ctx, row)
			}
		})
	}
	for i := range rows {
		next <- &rows[i]
	}
	close(next)
	readers.Wait()
	slices.SortStableFunc(rows, byNeed)
	return rows, err
}

// Row returns one tenant.
func (p *Place) Row(ctx context.Context, t tenant.Tenant) Row {
	row := Row{Tenant: t}
	p.read(ctx, &row)
	return row
}

func (p *Place) read(ctx context.Context, row *Row) {
	if p.Ledger != nil {
		row.Health, row.Err = p.Ledger.Health(ctx, row.Tenant.ID)
	}
}

// need is how much a tenant needs a person: most, if it is the smallest.
func (r Row) need() int {
	switch {
	case r.Tenant.State == tenant.Suspended:
		return 3
	case !r.Health.FailingSince.IsZero(), r.Err != nil:
		return 0
	case r.Health.SweptAt.IsZero():
		return 1
	default:
		return 2
	}
}

// byNeed is the order of rows. Of two that fail, the one that has failed for longer comes first.
func byNeed(a, b Row) int {
	return cmp.Or(cmp.Compare(a.need(), b.need()), a.Health.FailingSince.Compare(b.Health.FailingSince),
		cmp.Compare(a.Tenant.Name, b.Tenant.Name), cmp.Compare(a.Tenant.ID, b.Tenant.ID))
}
