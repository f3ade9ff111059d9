package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/cmd/packhorse/cloud"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/doctor"
	"packhorse/internal/ratelimit"
	"packhorse/internal/registry"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// examination is what packhorse doctor checks.
type examination struct {
	shared []doctor.Check // of one tenant, all checks
	groups []doctor.Group // the checks of each of many tenants
	own    string         // the tenant of the settings; empty if there is none, or if it has a group
	each   int            // how many checks a group has
	shut   func() error
}

func nothingToShut() error { return nil }

// count returns how many checks there are.
func (e *examination) count() int {
	n := len(e.shared)
	for _, g := range e.groups {
		if g.Skip == "" {
			n += e.each
		} else {
			n++
		}
	}
	return n
}

// only leaves the other tenants out, unless the id is empty.
func (e *examination) only(id string) error {
	if id == "" {
		return nil
	}
	if len(e.groups) == 0 {
		if e.own != "" && e.own != id {
			return fmt.Errorf("--tenant %s: the settings are those of tenant %s", id, e.own)
		}
		return nil
	}
	for _, g := range e.groups {
		if g.ID == id {
			e.groups = []doctor.Group{g}
			return nil
		}
	}
	return fmt.Errorf("--tenant %s: it is neither registered nor the tenant of the settings", id)
}

// groupsOf returns the groups of all tenants, the one of the settings first.
func groupsOf(own string, entries []tenant.Tenant, ofOwn func() []doctor.Check, of func(tenant.Tenant) []doctor.Check) []doctor.Group {
	var groups []doctor.Group
	if own != "" {
		groups = append(groups, doctor.Group{ID: own, Checks: ofOwn})
	}
	for _, t := range entries {
		if t.ID == own { // the settings count, and not the entry
			continue
		}
		g := doctor.Group{ID: t.ID, Name: t.Name, Checks: func() []doctor.Check {
			return doctor.Renamed(of(t), flagsOf)
		}}
		if t.State == tenant.Suspended {
			g.Skip = "suspended: packhorse tenant resume continues"
		}
		groups = append(groups, g)
	}
	return groups
}

// flagsOf writes a text about settings in the words of packhorse tenant add, where the id is an argument.
func flagsOf(text string) string {
	return strings.ReplaceAll(settings.WithFields(text, "--"), "--"+tenant.FieldID+",", "the tenant's id,")
}

// examination returns the checks of a stack or of this machine.
func (o doctorOptions) examination(ctx context.Context) (*examination, error) {
	if o.stack != "" {
		return o.ofStack(ctx)
	}
	data, err := filepath.Abs(o.data) // the embedded S3 server changes the working directory
	if err != nil {
		return nil, fmt.Errorf("resolve the data folder: %w", err)
	}
	m := &checkup.Machine{
		Environ: o.environ, Now: time.Now, Free: embedded.FreeBytes,
		Want: doctor.MachineWanted{Data: data, Bucket: o.bucket, Endpoint: o.endpoint},
	}
	entries, err := m.Registered(ctx)
	if len(entries) > 0 || err != nil {
		return o.ofMany(m, entries, err), nil
	}
	one := m.Tenant()
	return &examination{
		shared: append(doctor.Tenant(one), doctor.Machine(m.Ports())...), own: one.Settings().Tenant, shut: m.Close,
	}, nil
}

// ofMany returns the checks of a machine that has a registry, which was read with this error.
func (o doctorOptions) ofMany(m *checkup.Machine, entries []tenant.Tenant, err error) *examination {
	base := settings.CLIBase(settings.Map(o.environ))
	m.Want.Tenants = len(entries) + 1 // and the one of the settings, if there is one
	ports := m.PortsOf(sharedSettings(base, entries))
	hosts := &checkup.Hosts{}
	return &examination{
		shared: append(doctor.Registry(checkup.State(entries, err)), doctor.MachineShared(ports)...),
		groups: groupsOf(base.OwnID(), entries,
			func() []doctor.Check { return doctor.MachineTenant(m.Tenant(), m.WorkOf(ports, base.OwnID())) },
			func(t tenant.Tenant) []doctor.Check {
				return doctor.MachineTenant(m.Entry(base, t, hosts), m.WorkOf(ports, t.ID))
			}),
		each: len(doctor.MachineTenant(doctor.TenantPorts{}, ports)), shut: m.Close,
	}
}

// sharedSettings returns the settings of the tenant that stands for all where they share something, such as the lock of the
// archive: the one of the variables, or one whose entry leaves that to them. It is zero if there is none.
func sharedSettings(base settings.Base, entries []tenant.Tenant) settings.Settings {
	if base.OwnID() != "" {
		s, _ := base.Own() // the check of the settings says what is wrong
		return s
	}
	for _, t := range entries {
		s, err := base.Of(t)
		if err == nil && t.LockMode == "" {
			return s
		}
	}
	return settings.Settings{}
}

// ofStack returns the checks of a stack.
func (o doctorOptions) ofStack(ctx context.Context) (*examination, error) {
	s, err := stack.Open(ctx, o.stack)
	if err != nil {
		return nil, err
	}
	c := cloud.Open(ctx, s, time.Now)
	one := checkup.Tenant{
		Environ: c.Variables(), Now: time.Now, Parse: settings.ParsePoll, Set: c.Set, Foreign: true,
		AWS: func(context.Context) (aws.Config, error) { return s.AWS, nil },
		Ledger: func(ctx context.Context) (checkup.Ledger, error) {
			return evidence.OpenLedger(ctx, s.Outputs[stack.OutputLedger], "")
		},
		Lists: func(context.Context) (ratelimit.Counter, error) { return ratelimit.NewMemory(), nil },
	}
	db := dynamodb.NewFromConfig(s.AWS)
	var entries []tenant.Tenant
	if table := s.Outputs[stack.OutputTenants]; table != "" {
		entries, err = registry.New(db, table).List(ctx)
	}
	if len(entries) == 0 && err == nil && s.TenantID() != "" {
		return &examination{
			shared: append(doctor.Stack(c.Ports()), doctor.Tenant(one.Ports())...), own: s.TenantID(), shut: nothingToShut,
		}, nil
	}
	return ofStackOfMany(s, c, one, entries, err), nil
}

// ofStackOfMany returns the checks of a stack that has a registry, which was read with this error.
func ofStackOfMany(s *stack.Stack, c *cloud.Cloud, one checkup.Tenant, entries []tenant.Tenant, err error) *examination {
	base := settings.StackBase(c.Variables())
	ids := []string{}
	if own := s.TenantID(); own != "" {
		ids = append(ids, own)
	}
	for _, t := range entries {
		ids = append(ids, t.ID)
	}
	fleet := checkup.NewFleet(dynamodb.NewFromConfig(s.AWS), s.Outputs[stack.OutputLedger], ids)
	one.Hosts = &checkup.Hosts{}
	checks := func(entry tenant.Tenant, ports func(checkup.Tenant) doctor.TenantPorts) []doctor.Check {
		ledger, one := fleet.Of(entry.ID), one
		one.Ledger = func(context.Context) (checkup.Ledger, error) { return ledger, nil }
		return doctor.StackTenant(ports(one), c.PortsOf(entry, len(ids), ledger))
	}
	if err != nil && !errors.Is(err, tenant.ErrInvalid) {
		entries = nil
	}
	return &examination{
		shared: append(doctor.Registry(checkup.State(entries, err)), doctor.StackShared(c.Ports())...),
		groups: groupsOf(s.TenantID(), entries,
			func() []doctor.Check { return checks(tenant.Tenant{ID: s.TenantID()}, checkup.Tenant.Ports) },
			func(t tenant.Tenant) []doctor.Check {
				return checks(t, func(one checkup.Tenant) doctor.TenantPorts { return one.Entry(base, t) })
			}),
		each: len(doctor.StackTenant(doctor.TenantPorts{}, doctor.StackPorts{})), shut: nothingToShut,
	}
}
