package doctor

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// Group is the checks of one tenant of many.
type Group struct {
	ID, Name string // of the tenant; a tenant that is not registered has no name
	// Skip says why the tenant is not looked at; empty if it is.
	Skip string
	// Checks makes the checks, when their turn comes: what they look with may hold connections.
	Checks func() []Check
}

// groupsAtOnce is how many tenants are looked at side by side.
const groupsAtOnce = 8

// nameSuspended is the name of the result of a tenant that is not looked at.
const nameSuspended = "tenant"

// RunGroups makes the checks of each group, a few groups at a time, and returns all results in the order of the groups.
// It calls told, one call at a time, when a result is known.
func RunGroups(ctx context.Context, groups []Group, told func(Result)) []Result {
	results := make([][]Result, len(groups))
	var mu sync.Mutex // one result is told at a time
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(groupsAtOnce, len(groups)) {
		workers.Go(func() {
			for i := range next {
				results[i] = groups[i].run(ctx, func(r Result) {
					mu.Lock()
					defer mu.Unlock()
					told(r)
				})
			}
		})
	}
	for i := range groups {
		next <- i
	}
	close(next)
	workers.Wait()
	return slices.Concat(results...)
}

func (g Group) run(ctx context.Context, told func(Result)) []Result {
	if g.Skip != "" {
		one := Result{Check: Check{Name: nameSuspended, Area: areaSettings}, Finding: Skip("", "%s", g.Skip), Tenant: g.ID, TenantName: g.Name}
		told(one)
		return []Result{one}
	}
	mark := func(r Result) Result {
		r.Tenant, r.TenantName = g.ID, g.Name
		return r
	}
	results := Run(ctx, g.Checks(), func(r Result) { told(mark(r)) })
	for i := range results {
		results[i] = mark(results[i])
		results[i].Run = nil // it holds what it looked with
	}
	return results
}

// ofOneTenant are the checks of a machine or a stack that look at the work of one tenant.
var ofOneTenant = []string{"archive.strangers", nameSweeps, namePackages}

// MachineShared returns the checks of one machine that are the same for all tenants.
func MachineShared(p MachinePorts) []Check { return shared(Machine(p)) }

// MachineTenant returns the checks of one tenant of a machine, whose health and work the ports show.
func MachineTenant(t TenantPorts, p MachinePorts) []Check {
	return append(Tenant(t), ofTenant(Machine(p))...)
}

// StackShared returns the checks of a deployed stack that are the same for all tenants.
func StackShared(p StackPorts) []Check { return shared(Stack(p)) }

// StackTenant returns the checks of one tenant of a stack, whose sweeps and work the ports show.
func StackTenant(t TenantPorts, p StackPorts) []Check {
	return slices.Concat(Tenant(t), ofTenant(Stack(p)), tenantBucket(p))
}

func shared(checks []Check) []Check {
	return slices.DeleteFunc(checks, func(c Check) bool { return slices.Contains(ofOneTenant, c.Name) })
}

func ofTenant(checks []Check) []Check {
	return slices.DeleteFunc(checks, func(c Check) bool { return !slices.Contains(ofOneTenant, c.Name) })
}

// RegistryState is what the registry of tenants says.
type RegistryState struct {
	Tenants, Suspended int
	Malformed          []string // entries that cannot be used, and why
}

// Registry returns the check of a registry of tenants.
func Registry(look Look[RegistryState]) []Check {
	return []Check{{
		Name: "tenants", Area: areaSettings, Looks: "whether the registry of tenants can be read, and every entry is valid",
		Run: seeing(look, "", func(r RegistryState) Finding {
			if len(r.Malformed) > 0 {
				return Warn("packhorse tenant add --replace writes an entry anew", "not served, because their entries are malformed: %s",
					few(r.Malformed))
			}
			text := "registered and active"
			if r.Suspended > 0 {
				return Good("%d %s, %d suspended", r.Tenants-r.Suspended, text, r.Suspended)
			}
			return Good("%d %s", r.Tenants, text)
		}),
	}}
}

// Renamed returns checks that speak of settings in other words, which rename knows, except in commands to paste.
func Renamed(checks []Check, rename func(string) string) []Check {
	for i := range checks {
		run := checks[i].Run
		checks[i].Run = func(ctx context.Context) Finding {
			f := run(ctx)
			f.Text = rename(f.Text)
			if !strings.Contains(f.Advice, "export ") {
				f.Advice = rename(f.Advice)
			}
			return f
		}
	}
	return checks
}
