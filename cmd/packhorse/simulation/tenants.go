package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/tenant"
)

// TenantsMax is the most tenants that can be simulated at once.
const TenantsMax = 1000

// TenantID is the id of the first simulated tenant, in this process or another.
func TenantID() string { return mdesim.Defaults().TenantID }

// family ends the id of every simulated tenant.
func family() string { return TenantID()[len("00000000"):] }

// IsTenant reports whether the tenant is a simulated one.
func IsTenant(id string) bool { return strings.HasSuffix(id, family()) }

// idOf returns the id of the i-th simulated tenant.
func idOf(i int) string {
	if i == 0 {
		return TenantID()
	}
	return mdesim.IDOf("tenant", i)[:len("00000000")] + family()
}

// names are what people call the first tenants. They are those of Microsoft's samples.
var names = []string{
	"Contoso", "Fabrikam", "Northwind", "Woodgrove", "Tailspin", "Litware", "Adatum", "Proseware", "Wingtip",
	"Relecloud", "Fourth Coffee", "Trey Research",
}

func nameOf(i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("Customer %d", i+1)
}

// planned is one tenant of a plan.
type planned struct {
	id, name string
	seed     uint64
	actions  []mdesim.Action
}

// tenants returns the plan's tenants, with their actions.
func (p Plan) tenants() []planned {
	var all []planned
	for i, n := range shares(p.Actions, max(p.Tenants, 1)) {
		seed := p.Seed + uint64(i)<<32 // a run has fewer actions than that, so that no two packages are equal
		all = append(all, planned{
			id: idOf(i), name: nameOf(i), seed: seed, actions: mdesim.Scenario(n, seed, p.StartedAt, p.Sizes),
		})
	}
	return all
}

// shares divides actions among tenants as unevenly as customers are: the first has half of them, the last quarter of
// the tenants none, and the others share the rest.
func shares(actions, tenants int) []int {
	counts := make([]int, tenants)
	some := tenants - tenants/4 - 1 // those that share
	if some == 0 {
		counts[0] = actions
		return counts
	}
	counts[0] = (actions + 1) / 2
	for i := range actions - counts[0] {
		counts[1+i%some]++
	}
	return counts
}

// Registry is a registry of tenants.
type Registry interface {
	// List returns every valid entry, and an error that names the others and wraps tenant.ErrInvalid.
	List(ctx context.Context) ([]tenant.Tenant, error)
	// Put stores an entry that does not exist yet.
	Put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error)
	// Delete removes an entry.
	Delete(ctx context.Context, t tenant.Tenant) error
}

// Register makes the simulated tenants of a registry those of the site, if it has several. Entries that are there stay
// as they are.
func (s *Site) Register(ctx context.Context, r Registry) error {
	all, err := r.List(ctx)
	if err != nil && !errors.Is(err, tenant.ErrInvalid) {
		return err
	}
	for _, t := range all {
		if IsTenant(t.ID) && (len(s.tenants) == 1 || s.tenants[t.ID] == nil) {
			err = r.Delete(ctx, t)
			if err != nil {
				return err
			}
		}
	}
	if len(s.tenants) == 1 {
		return nil // its settings name it
	}
	for _, p := range s.plan.tenants() {
		if slices.ContainsFunc(all, func(t tenant.Tenant) bool { return t.ID == p.id }) {
			continue
		}
		_, err = r.Put(ctx, tenant.New(tenant.Tenant{ID: p.id, Name: p.name}, time.Now()))
		if err != nil {
			return err
		}
	}
	return nil
}
