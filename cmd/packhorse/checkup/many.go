package checkup

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// Registered returns the tenants in the data folder's registry, and an error that names malformed entries and wraps
// tenant.ErrInvalid. Without a ledger that this program can read, there are none; the checks say why.
func (m *Machine) Registered(ctx context.Context) (all []tenant.Tenant, err error) {
	if m.usable(ctx) != nil {
		return nil, nil
	}
	err = embedded.ReadRegistry(ctx, m.path(datafolder.Database), func(r *embedded.Registry) (err error) {
		all, err = r.List(ctx)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return all, err
}

// Entry returns the eyes on a registered tenant. What it shares with others is asked once.
func (m *Machine) Entry(base settings.Base, t tenant.Tenant, hosts *Hosts) doctor.TenantPorts {
	one := m.tenant()
	one.Parse = func(map[string]string) (settings.Settings, error) { return base.Of(t) }
	one.Set = nothing
	one.Hosts = hosts
	return one.Ports()
}

// WorkOf returns the eyes on a tenant's work, as the others but for what is of one tenant.
func (m *Machine) WorkOf(shared doctor.MachinePorts, tenantID string) doctor.MachinePorts {
	shared.Health, shared.Work = m.health(tenantID), once(m.work(tenantID))
	return shared
}

// nothing is the Set of a tenant whose entry no single command changes.
func nothing(string, string) string { return "" }

// Entry returns the eyes on a registered tenant of a stack. The Tenant is that of the stack.
func (t Tenant) Entry(base settings.Base, entry tenant.Tenant) doctor.TenantPorts {
	t.Parse = func(map[string]string) (settings.Settings, error) { return base.Of(entry) }
	t.Set = nothing
	return t.Ports()
}

// State judges what was read of a registry.
func State(all []tenant.Tenant, err error) doctor.Look[doctor.RegistryState] {
	return func(context.Context) (doctor.RegistryState, error) {
		if err != nil && !errors.Is(err, tenant.ErrInvalid) {
			return doctor.RegistryState{}, err
		}
		s := doctor.RegistryState{Tenants: len(all)}
		for _, t := range all {
			if t.State == tenant.Suspended {
				s.Suspended++
			}
		}
		if err != nil {
			s.Malformed = strings.Split(err.Error(), "\n")
		}
		return s, nil
	}
}

// Fleet is the ledger of a stack, as the checks of many tenants ask it: about all of them at once, where that is
// possible. It is safe for concurrent use.
type Fleet struct {
	table   *ledger.Ledger
	healths doctor.Look[map[string]tenant.Health]
	busy    doctor.Look[map[string]bool]
}

// NewFleet returns the ledger in a table, for the checks of these tenants.
func NewFleet(db *dynamodb.Client, table string, tenantIDs []string) *Fleet {
	l := ledger.New(db, table)
	return &Fleet{
		table: l, busy: once(l.Busy),
		healths: once(func(ctx context.Context) (map[string]tenant.Health, error) { return l.Healths(ctx, tenantIDs) }),
	}
}

// Of returns the ledger for the checks of one tenant. It reads the newest records once.
func (f *Fleet) Of(tenantID string) *TenantLedger { return &TenantLedger{fleet: f, tenantID: tenantID} }

// TenantLedger answers the checks of one tenant.
type TenantLedger struct {
	fleet    *Fleet
	tenantID string

	mu     sync.Mutex // guards what follows, and is held while it is read
	read   bool
	recent []investigation.Record
	err    error
}

// Health implements cloud.Ledger.
func (l *TenantLedger) Health(ctx context.Context, id string) (tenant.Health, error) {
	all, err := l.fleet.healths(ctx)
	if h, ok := all[id]; ok || err == nil {
		return h, nil
	}
	return l.fleet.table.Health(ctx, id) // one is malformed: this one, or another
}

// Recent implements cloud.Ledger.
func (l *TenantLedger) Recent(ctx context.Context, id string) ([]investigation.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read {
		return l.recent, l.err
	}
	busy, err := l.fleet.busy(ctx)
	if err != nil {
		return nil, err
	}
	newest := investigation.Filter{TenantID: id, Limit: newestMax}
	if busy[id] { // what it still has to do may be old
		newest.Limit = 0
	}
	l.recent, l.err = l.fleet.table.Find(ctx, newest)
	l.read = l.err == nil || errors.Is(l.err, investigation.ErrBadRecord)
	return l.recent, l.err
}

// Find implements Ledger, among the recent records.
func (l *TenantLedger) Find(ctx context.Context, f investigation.Filter) ([]investigation.Record, error) {
	recent, err := l.Recent(ctx, l.tenantID)
	return f.Select(recent), err
}

// Open implements Ledger.
func (l *TenantLedger) Open(ctx context.Context, id string) ([]investigation.Record, error) {
	recent, err := l.Recent(ctx, id)
	return slices.DeleteFunc(slices.Clone(recent), func(rec investigation.Record) bool {
		return rec.State == investigation.StateDone
	}), err
}
