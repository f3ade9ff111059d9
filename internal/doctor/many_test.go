package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"packhorse/internal/doctor"
)

// TestRunGroups: each tenant's checks wait for its own only, at most eight tenants are looked at side by side, the results
// are in the order of the groups, and a group that is to be skipped says why, and is not looked at.
func TestRunGroups(t *testing.T) {
	t.Parallel()
	var working, most atomic.Int32
	var groups []doctor.Group
	for n := range 100 {
		g := doctor.Group{ID: fmt.Sprint(n), Name: "Customer " + fmt.Sprint(n), Checks: func() []doctor.Check {
			now := working.Add(1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			return []doctor.Check{
				{Name: "a", Run: func(context.Context) doctor.Finding {
					if n == 7 {
						return doctor.Fail("", "no")
					}
					return doctor.Good("yes")
				}},
				{Name: "b", After: []string{"a"}, Run: func(context.Context) doctor.Finding {
					working.Add(-1)
					return doctor.Good("set PER_MINUTE")
				}},
			}
		}}
		if n == 50 {
			g.Skip, g.Checks = "suspended", nil
		}
		groups = append(groups, g)
	}
	told := 0
	results := doctor.RunGroups(t.Context(), groups, func(r doctor.Result) {
		told++
		if r.Tenant == "" || r.TenantName == "" {
			t.Errorf("whose is %+v?", r)
		}
	})
	if len(results) != 199 || told != 199 || most.Load() > 9 { // the check b of tenant 7 never runs
		t.Errorf("%d results, %d told, %d at once", len(results), told, most.Load())
	}
	for i, r := range results {
		if i > 0 && r.Tenant != results[i-1].Tenant && fmt.Sprint(i/2) != r.Tenant && i < 100 {
			t.Errorf("result %d is of %s", i, r.Tenant)
		}
		if r.Run != nil {
			t.Error("a result holds what it looked with")
		}
		switch {
		case r.Tenant == "50":
			if r.State != doctor.Skipped || r.Text != "suspended" {
				t.Errorf("got %+v", r)
			}
		case (r.State == doctor.OK) != (r.Tenant != "7"):
			t.Errorf("got %+v", r)
		}
	}
}

// TestSharedAndOfTenant: together they are all checks, each once.
func TestSharedAndOfTenant(t *testing.T) {
	t.Parallel()
	names := func(lists ...[]doctor.Check) (all []string) {
		for _, c := range slices.Concat(lists...) {
			all = append(all, c.Name)
		}
		slices.Sort(all)
		return all
	}
	tenant := doctor.Tenant(doctor.TenantPorts{})
	machine, stack := doctor.MachinePorts{}, doctor.StackPorts{}
	if got, want := names(doctor.MachineShared(machine), doctor.MachineTenant(doctor.TenantPorts{}, machine)), names(tenant, doctor.Machine(machine)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	ofMany := []doctor.Check{{Name: "tenant.bucket"}} // a tenant that is alone has the stack's
	if got, want := names(doctor.StackShared(stack), doctor.StackTenant(doctor.TenantPorts{}, stack)), names(tenant, doctor.Stack(stack), ofMany); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	stack.Want.NoApp = true
	if got := names(doctor.StackShared(stack)); slices.Contains(got, "secret") {
		t.Error("a stack without an app is asked for its secret")
	}
}

// TestRegistry: malformed entries are a warning, and a registry that cannot be read is not well.
func TestRegistry(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		state doctor.RegistryState
		err   error
		is    doctor.State
	}{
		"3 registered and active":              {doctor.RegistryState{Tenants: 3}, nil, doctor.OK},
		"2 registered and active, 1 suspended": {doctor.RegistryState{Tenants: 3, Suspended: 1}, nil, doctor.OK},
		"entry x: no name":                     {doctor.RegistryState{Malformed: []string{"entry x: no name"}}, nil, doctor.Warning},
		"table gone":                           {doctor.RegistryState{}, errors.New("table gone"), doctor.Skipped},
	} {
		check := doctor.Registry(func(context.Context) (doctor.RegistryState, error) { return c.state, c.err })[0]
		if got := check.Run(t.Context()); got.State != c.is || !strings.Contains(got.Text, want) {
			t.Errorf("%s: got %+v", want, got)
		}
	}
}

// TestRenamed: texts speak of settings in other words, but commands to paste stay.
func TestRenamed(t *testing.T) {
	t.Parallel()
	for advice, want := range map[string]string{"check X": "check Y", "do: export X=1": "do: export X=1"} {
		checks := doctor.Renamed([]doctor.Check{{Run: func(context.Context) doctor.Finding { return doctor.Fail(advice, "X is wrong") }}},
			func(text string) string { return strings.ReplaceAll(text, "X", "Y") })
		if got := checks[0].Run(t.Context()); got.Text != "Y is wrong" || got.Advice != want {
			t.Errorf("got %+v", got)
		}
	}
}
