package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// resolvedFor is how long the settings of a tenant are used before they are looked up again.
	resolvedFor = time.Minute

	// openMax bounds the tenants that one process keeps open: each has a token and connections.
	openMax = 100
)

var (
	// ErrUnknownTenant: the event's tenant is not served here.
	ErrUnknownTenant = errors.New("unknown tenant")
	// ErrSuspended: somebody suspended the tenant. Its packages stay ready until it is resumed.
	ErrSuspended = errors.New("the tenant is suspended")
)

// Member is a tenant whose packages are fetched.
type Member struct {
	// Version changes with the tenant's settings. A Fetcher of an earlier version is replaced.
	Version string
	// Open makes the tenant's Fetcher. Nothing is sent before its first use.
	Open func() (*Fetcher, error)
}

// Lookup returns the tenant with an id. Errors wrap [ErrUnknownTenant] or [ErrSuspended] if it is not served; any
// other error says nothing about the tenant.
type Lookup func(ctx context.Context, tenantID string) (Member, error)

// Tenants gives each tenant its Fetcher. It is safe for concurrent use.
type Tenants struct {
	lookup Lookup
	now    func() time.Time

	mu   sync.Mutex // guards open; held during a lookup, because one process has one event at a time
	open map[string]*opened
}

// opened is a tenant with its Fetcher.
type opened struct {
	fetcher    *Fetcher
	version    string
	resolvedAt time.Time
	usedAt     time.Time
}

// NewTenants returns Tenants without any open.
func NewTenants(lookup Lookup, now func() time.Time) *Tenants {
	return &Tenants{lookup: lookup, now: now, open: map[string]*opened{}}
}

// Fetcher returns the tenant's Fetcher. If the settings cannot be looked up, a Fetcher that is open is used for as
// long as that lasts. Errors are those of the lookup.
func (t *Tenants) Fetcher(ctx context.Context, tenantID string) (*Fetcher, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	known := t.open[tenantID]
	if known != nil && now.Sub(known.resolvedAt) < resolvedFor {
		known.usedAt = now
		return known.fetcher, nil
	}
	member, err := t.lookup(ctx, tenantID)
	switch {
	case errors.Is(err, ErrUnknownTenant), errors.Is(err, ErrSuspended):
		delete(t.open, tenantID)
		return nil, fmt.Errorf("tenant %.64s: %w", tenantID, err)
	case err != nil && known != nil:
		known.usedAt = now
		return known.fetcher, nil
	case err != nil:
		return nil, fmt.Errorf("look up tenant %.64s: %w", tenantID, err)
	case known != nil && known.version == member.Version:
		known.resolvedAt, known.usedAt = now, now
		return known.fetcher, nil
	}
	fetcher, err := member.Open()
	if err != nil {
		return nil, fmt.Errorf("open tenant %.64s: %w", tenantID, err)
	}
	t.makeRoom()
	t.open[tenantID] = &opened{fetcher: fetcher, version: member.Version, resolvedAt: now, usedAt: now}
	return fetcher, nil
}

// makeRoom closes the tenant that was not used for the longest if too many are open.
func (t *Tenants) makeRoom() {
	if len(t.open) < openMax {
		return
	}
	oldest := ""
	for id, o := range t.open {
		if oldest == "" || o.usedAt.Before(t.open[oldest].usedAt) {
			oldest = id
		}
	}
	delete(t.open, oldest)
}
