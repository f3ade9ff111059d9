package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"packhorse/internal/investigation"
)

// Member is a tenant to read the status of.
type Member struct {
	ID        string
	Name      string // what people call it; empty if it is not registered
	Suspended bool   // it is left alone, on purpose
	Among     int    // how many tenants are served together; 0 if it is alone
}

// Overview is the status of many tenants, in short: those that need a person or have work in full, and the others as
// numbers.
type Overview struct {
	Tenants   []Tenant  // those that need a person first, then those whose work is the oldest
	Idle      int       // how many more tenants are well, and have nothing to fetch or to record
	Stalest   time.Time // the least recent of their last sweeps; zero if there are none
	Suspended int       // how many more tenants are suspended
}

// All returns how many tenants there are.
func (o Overview) All() int { return len(o.Tenants) + o.Idle + o.Suspended }

// atOnce is how many tenants are read at once.
const atOnce = 8

// Summarize returns the overview of many tenants. It asks about all of them at once, and reads the records only of
// those that have work. Idle tenants cost nothing by themselves.
func Summarize(ctx context.Context, fleet Fleet, budgets Budgets, credentials Credentials, members []Member, now time.Time) (Overview, error) {
	var ids []string
	for _, m := range members {
		if !m.Suspended {
			ids = append(ids, m.ID)
		}
	}
	healths, err := fleet.Healths(ctx, ids)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return Overview{}, fmt.Errorf("read the healths of the tenants: %w", err)
	}
	malformed := err != nil
	busy, err := fleet.Busy(ctx)
	if err != nil {
		return Overview{}, fmt.Errorf("find the tenants that have work: %w", err)
	}
	o := Overview{Suspended: len(members) - len(ids)}
	var work []Member
	for _, m := range members {
		health, known := healths[m.ID]
		brief := Of(Facts{Member: m, Health: health, Credential: credentials.Credential(m.ID)}, now)
		brief.Brief = true
		switch {
		case m.Suspended:
		case busy[m.ID], malformed && !known: // the health may be what is malformed: Read says so
			work = append(work, m)
		case len(brief.Problems) > 0:
			o.Tenants = append(o.Tenants, brief)
		default:
			o.Idle++
			if o.Stalest.IsZero() || health.SweptAt.Before(o.Stalest) {
				o.Stalest = health.SweptAt
			}
		}
	}
	full, err := Read(ctx, fleet, budgets, credentials, work, now)
	o.Tenants = append(o.Tenants, full...)
	slices.SortStableFunc(o.Tenants, byNeed)
	return o, err
}

// Read returns the status of each tenant, those that need a person first. It returns an error if the records of a
// tenant cannot be read at all; whatever else is missing is a [Problem] of the tenant.
func Read(ctx context.Context, ledger Ledger, budgets Budgets, credentials Credentials, members []Member, now time.Time) ([]Tenant, error) {
	tenants := make([]Tenant, len(members))
	failures := make([]error, len(members))
	var readers sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, len(members)) {
		readers.Go(func() {
			for i := range next {
				facts, err := read(ctx, ledger, budgets, members[i], now)
				if err != nil {
					failures[i] = fmt.Errorf("read the status of tenant %s: %w", members[i].ID, err)
					continue
				}
				facts.Credential = credentials.Credential(members[i].ID)
				tenants[i] = Of(facts, now)
			}
		})
	}
	for i := range members {
		next <- i
	}
	close(next)
	readers.Wait()
	for _, err := range failures {
		if err != nil { // one is enough: the others are likely to say the same
			return nil, err
		}
	}
	slices.SortStableFunc(tenants, byNeed)
	return tenants, nil
}

// byNeed is the order of tenants: the most problems first, then the oldest work, and suspended ones last.
func byNeed(a, b Tenant) int {
	return cmp.Or(compareBool(a.Suspended, b.Suspended), cmp.Compare(len(b.Problems), len(a.Problems)), oldest(a, b))
}

func oldest(a, b Tenant) int {
	if a.OldestReady.IsZero() || b.OldestReady.IsZero() {
		return compareBool(a.OldestReady.IsZero(), b.OldestReady.IsZero())
	}
	return a.OldestReady.Compare(b.OldestReady)
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
